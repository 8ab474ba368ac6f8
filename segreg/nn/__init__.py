"""What every model goes through: normalization, fusion for inference, moving averages, building without values."""
