"""Networks and losses of MONAI, under the names monai/... in segreg."""
