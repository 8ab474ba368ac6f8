"""What applies to every model: normalization, fusion for inference, moving averages, building without values."""
