"""Every random number generator that a run may draw from: torch's, NumPy's global one, and Python's."""

import random
from typing import Any, cast

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed all generators, on all devices."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the states of all generators, as tensors and plain values."""
    name, keys, *position = cast(tuple[Any, ...], np.random.get_state())
    states = {"torch": torch.get_rng_state(), "numpy": (name, keys.tolist(), *position), "python": random.getstate()}
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state(*_index(device))
    return states


def restore_random_state(states: dict[str, Any], device: torch.device) -> None:
    """Restore the states that `random_state` returned."""
    torch.set_rng_state(states["torch"])
    np.random.set_state(states["numpy"])
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"], *_index(device))


def _index(device: torch.device) -> tuple[int, ...]:
    # MPS has one device, and no index for it.
    return () if device.index is None else (device.index,)
