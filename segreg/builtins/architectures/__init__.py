"""Models, one a file, and the blocks they share."""
