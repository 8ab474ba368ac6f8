"""A run on disk: its files, its model, its provenance, and reading them safely."""
