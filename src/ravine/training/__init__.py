"""One run of a recipe: the serial lane, the population lane, and which one fits."""
