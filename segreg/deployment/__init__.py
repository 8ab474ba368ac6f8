"""Models for production and for model hubs."""
