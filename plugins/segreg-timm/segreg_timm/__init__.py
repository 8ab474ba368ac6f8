"""timm's backbones for segreg. Nothing is imported here: see plugin.py for what there is."""
