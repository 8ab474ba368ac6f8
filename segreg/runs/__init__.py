"""A run on disk: its files, its model, what it was made with, and reading them safely."""
