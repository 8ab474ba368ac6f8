"""Architectures and losses of segmentation_models_pytorch, under the names smp/... in segreg."""
