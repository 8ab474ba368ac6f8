"""An architecture and a loss for segreg."""
