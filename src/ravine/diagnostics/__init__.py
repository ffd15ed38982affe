"""What goes wrong in a training run: measured, named, and tried to be mended."""
