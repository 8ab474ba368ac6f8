"""Masks and probabilities for images of any size."""
