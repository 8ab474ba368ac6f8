"""Metrics, one a file, and the confusion counts they share."""
