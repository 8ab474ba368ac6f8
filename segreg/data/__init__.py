"""Reading images and masks, pairing them, and the splits that training draws its batches from."""
