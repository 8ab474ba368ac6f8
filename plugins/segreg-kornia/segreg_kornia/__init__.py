"""kornia's augmentations for segreg. Nothing is imported here: plugin.py lists the components."""
