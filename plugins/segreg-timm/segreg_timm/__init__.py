"""timm's backbones and optimizers for segreg. Nothing is imported here: plugin.py lists the components."""
