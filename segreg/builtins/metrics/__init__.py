"""Metrics, one per file, and the confusion counts they share."""
