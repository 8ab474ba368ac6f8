"""segreg's own plugin, laid out like any other: `plugin.py` declares the components in the folders beside it."""
