"""Benchmarks run on as many threads as segreg does."""

import torch

from tests.conftest import THREADS

torch.set_num_threads(THREADS)
