"""segreg's own plugin, laid out as anybody's: `plugin.py` declares the components that lie in the folders beside it."""
