"""Run a rule: one parameter after the other, or for a whole population."""
