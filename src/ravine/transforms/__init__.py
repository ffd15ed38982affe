"""Transforms wrap any rule and give a rule: weight decay."""

from ravine.transforms.decay import decoupled, l2

__all__ = ["decoupled", "l2"]
