"""Watching a run: what is told of its steps, when to measure, and what is kept."""
