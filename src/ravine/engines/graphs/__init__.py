"""Traced functions: what is scalar and what is not, and how they are compiled."""
