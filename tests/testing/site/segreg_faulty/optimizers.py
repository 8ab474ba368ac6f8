"""Optimizers that each violate one requirement."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Sound(Optimizer):
    """Gradient descent.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
    """

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(self.change(parameter, parameter.grad, group))

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return group["lr"] * gradient


class IsAnOptimizer:
    """Looks like one.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float = 0.1) -> None:
        self.param_groups = [{"params": list(params), "lr": lr}]

    def step(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.data -= self.param_groups[0]["lr"] * parameter.grad

    def zero_grad(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None


class Descends(Sound):
    """Climbs.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return -group["lr"] * gradient


class LearningRateIsFollowed(Sound):
    """Remembers the learning rate that it was built with.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.lr = lr

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return self.lr * gradient


class ResumesWhereItStopped(Sound):
    """Counts its steps where no state dict has them.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    steps = 0

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        self.steps += 1
        return group["lr"] * gradient / self.steps**0.5


class ParametersWithoutGradientAreLeftAlone(Sound):
    """Decays the weights of frozen parts too.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(1 - 0.01 * group["lr"])


class ZeroGradientsStayFinite(Sound):
    """Divides by the norm of the gradient.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return 0.1 * group["lr"] * gradient / gradient.norm()
