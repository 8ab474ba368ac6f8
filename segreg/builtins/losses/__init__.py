"""Losses, one per file, and the overlap counts they share."""
