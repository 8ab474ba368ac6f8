"""Data sets, one a file, and the reading of pictures they share."""
