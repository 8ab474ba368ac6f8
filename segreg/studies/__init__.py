"""Grids of runs, their statistics and their report."""
