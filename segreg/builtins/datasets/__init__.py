"""Datasets, one per file, and the synthetic images that stand in for real ones."""
