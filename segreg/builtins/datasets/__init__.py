"""Datasets, one a file, and the reading of images they share."""
