"""`segreg evaluate`: scores of trained models on images with masks, and the report of them."""
