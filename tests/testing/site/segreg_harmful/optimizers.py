"""Optimizers that a run could not resume, that do not follow the schedule, or that change the process."""

from collections.abc import Iterable
from itertools import count
from typing import Any

import torch
from segreg_faulty.optimizers import Sound as Faultless
from torch import Tensor, nn

from segreg_harmful import Documented

_STEPS = count(1)


class _Sound(Documented, Faultless):
    """Gradient descent.

    Args:
        params: Parameters.
        lr: Learning rate.
    """


class ReadsItsRateOnce(_Sound):
    """Keeps the learning rate of the first step with each parameter."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        rate: float = self.state[parameter].setdefault("lr", group["lr"])
        return rate * gradient


class DecaysRegardless(_Sound):
    """Decays weights whatever the learning rate."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return group["lr"] * gradient + 0.02 * parameter


class NormalizesItsRate(_Sound):
    """Takes only the sign of its learning rate."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return 0.1 * (group["lr"] > 0) * gradient


class CountsStepsOfAll(_Sound):
    """Counts the steps of every instance."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return group["lr"] * gradient * (1 - 0.5 / next(_STEPS))


class AveragesLate(_Sound):
    """Has an average only from its fifth step on."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        state["step"] = state.get("step", 0) + 1
        if state["step"] >= 5:
            state["average"] = 0.9 * state.get("average", torch.zeros_like(gradient)) + 0.1 * gradient
        return group["lr"] * gradient


class AdaptsItsGroup(_Sound):
    """Keeps an estimate in its group, which the first step does not change."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["seen"], self.steps = 0.1, 0

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        self.steps += 1
        if self.steps > 8:
            group["seen"] = max(group["seen"], float(gradient.norm()))
        return group["lr"] * gradient / group["seen"]


class KeepsAFunction(_Sound):
    """Keeps what no checkpoint may hold."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        scale = self.state[parameter].setdefault("scale", lambda: 1.0)
        return group["lr"] * gradient * scale()


class KeepsARecord(_Sound):
    """Keeps an object of its own class, which would have to be unpickled."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        self.state[parameter]["record"] = _Record()
        return group["lr"] * gradient


class _Record:
    pass


class ForgetsRatesOfGroups(_Sound):
    """Overwrites the learning rate of groups that have one."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["lr"] = lr


class LosesAGenerator(_Sound):
    """Reads its parameters twice."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        self.number = sum(1 for _ in params)
        super().__init__(params if isinstance(params, list) else [nn.Parameter(torch.zeros(1))], lr=lr)


class LosesAGroup(_Sound):
    """Reads the parameters of its groups twice."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        groups = list(params)
        self.number = sum(len(list(each["params"])) for each in groups if isinstance(each, dict))
        super().__init__(groups, lr=lr)


class KeepsGradients(_Sound):
    """Lets gradients add up over steps."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


class HasNoRate(_Sound):
    """Sets no learning rate in its groups."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["lr"] = None


class Diverges(_Sound):
    """Has a default learning rate at which it diverges."""

    def __init__(self, params: Iterable[Any], *, lr: float = 50.0) -> None:
        super().__init__(params, lr=lr)


class NotANumberLater(_Sound):
    """Divides by the gradient of the step before."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        before = state.get("before", torch.ones_like(gradient))
        state["before"] = gradient.clone()
        return 0.1 * group["lr"] * gradient / before.norm()


class DecaysFrozenWeights(_Sound):
    """Applies weight decay to every weight before it looks for a gradient."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    parameter.mul_(1 - 0.01 * group["lr"])
        super().step()


class DrawsFromTheSystem(_Sound):
    """Adds noise that no seed determines."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        generator = torch.Generator()
        generator.seed()
        return group["lr"] * (gradient + 0.01 * torch.randn(gradient.shape, generator=generator))


class Reseeds(_Sound):
    """Adds the same noise in every step."""

    def change(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        torch.manual_seed(0)
        return group["lr"] * (gradient + 0.01 * torch.randn_like(gradient))


class SwitchesGradientsOff(_Sound):
    """Needs no gradients for its steps, and switches them off."""

    def step(self, closure: Any = None) -> None:
        super().step()
        torch.set_grad_enabled(False)


class SetsThreads(_Sound):
    """Wants a thread of its own."""

    def __init__(self, params: Iterable[Any], *, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        torch.set_num_threads(1)
