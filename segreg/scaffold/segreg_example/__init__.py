"""An architecture, a loss and an augmentation for segreg."""
