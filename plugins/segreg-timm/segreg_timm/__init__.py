"""timm's backbones for segreg. Nothing is imported here: plugin.py lists the components."""
