"""Losses, one a file, and the overlap counts they share."""
