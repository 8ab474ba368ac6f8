"""What the optimizers share: their parameters, and where they run fused."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from torch import nn

from segreg.options import check_option

Params: TypeAlias = Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]
"""Parameters, or groups of them with options of their own, as `torch.optim.Optimizer` takes them."""


def listed(params: Params) -> list[Any]:
    """Return the parameters, or their groups, as lists, which can be read more than once."""
    return [{**each, "params": list(each["params"])} if isinstance(each, Mapping) else each for each in params]


def on_devices(params: list[Any], *kinds: str) -> bool:
    """Whether all parameters are on devices of these kinds."""
    every = [one for each in params for one in (each["params"] if isinstance(each, dict) else [each])]
    return all(parameter.device.type in kinds for parameter in every)


def check_rates(lr: float, weight_decay: float) -> None:
    """Raise `ValueError` unless both are in their ranges."""
    check_option("lr", lr, 0 < lr < math.inf, "a finite number above 0")
    check_option("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "a finite number, 0 or more")


def check_betas(betas: tuple[float, float], eps: float) -> None:
    """Raise `ValueError` unless the coefficients of Adam's averages are in their ranges."""
    check_option("betas", betas, all(0 <= beta < 1 for beta in betas), "two numbers, 0 or more and below 1")
    check_option("eps", eps, 0 < eps < math.inf, "a finite number above 0")
