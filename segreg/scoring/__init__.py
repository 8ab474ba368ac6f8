"""The metric state of each image, and the values, intervals and comparisons computed from it."""
