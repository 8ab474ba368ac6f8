"""Trackers, one per file."""
