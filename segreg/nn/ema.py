"""A moving average of a model's weights."""

import copy
from typing import Any

import torch

from segreg.nn.normalized import Normalized

_DECAY = 0.98


class EMA:
    """An exponential moving average of weights and buffers, over about the last 50 steps.

    Early on it spans fewer steps, so that the random initial weights do not linger: after t steps the decay is the
    smaller of 0.98 and (1 + t) / (10 + t).

    Args:
        model: The model whose weights are averaged.

    Reference: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; the warm-up is that of
        TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, model: Normalized) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._steps = 0

    @torch.no_grad()
    def update(self, model: Normalized) -> None:
        """Add the weights after a step to the average."""
        self._steps += 1
        decay = min(_DECAY, (1 + self._steps) / (10 + self._steps))
        averaged, current = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in averaged.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[name] for name in floats], [current[name] for name in floats], 1 - decay)
        for name in averaged.keys() - set(floats):
            averaged[name].copy_(current[name])

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {"steps": self._steps, "weights": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self._steps = state["steps"]
        self.model.load_state_dict(state["weights"])
