"""What metrics keep of each image, and the values, intervals and comparisons that follow from it."""
