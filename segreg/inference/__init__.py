"""What is done with a model besides training it."""
