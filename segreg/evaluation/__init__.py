"""`segreg evaluate`: scores of trained models on images with masks, and their report."""
