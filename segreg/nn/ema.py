"""A moving average of a model's weights."""

import copy
from typing import Any

import torch

from segreg.nn.normalized import Normalized

_DECAY = 0.98


class EMA:
    """An exponential moving average of weights and buffers, over about the last 50 steps.

    Early on it spans fewer steps, so that it does not drag the random initial weights along: after t steps the decay
    is the lesser of 0.98 and (1 + t) / (10 + t).

    Args:
        model: Whose weights.

    Reference: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; the warm-up is that of
        TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, model: Normalized) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._steps = 0

    @torch.no_grad()
    def update(self, model: Normalized) -> None:
        """Take in the weights of a step."""
        self._steps += 1
        decay = min(_DECAY, (1 + self._steps) / (10 + self._steps))
        averaged, current = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in averaged.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[name] for name in floats], [current[name] for name in floats], 1 - decay)
        for name in averaged.keys() - set(floats):
            averaged[name].copy_(current[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"steps": self._steps, "weights": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the average that `state_dict` was called on."""
        self._steps = state["steps"]
        self.model.load_state_dict(state["weights"])
