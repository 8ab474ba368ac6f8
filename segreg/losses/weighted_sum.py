"""Losses from expressions: one component, or a weighted sum of several."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from segreg.errors import OptionError
from segreg.expression import parse_sum
from segreg.registry import registry


class WeightedSum(nn.Module):
    """The sum of losses, each times its weight.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].
    """

    def __init__(self, terms: Iterable[tuple[float, nn.Module]]) -> None:
        """Take pairs of weight and loss."""
        super().__init__()
        weights, losses = zip(*terms, strict=True)
        self.weights: tuple[float, ...] = weights
        self.losses = nn.ModuleList(losses)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum."""
        terms = (weight * loss(logits, target) for weight, loss in zip(self.weights, self.losses, strict=True))
        return torch.stack(list(terms)).sum()


def loss(expression: str, /, **options: Any) -> nn.Module:
    """Build a loss from a name, an expression or a sum: `loss("dice")`, `loss("bce+0.5*dice:smooth=0.5")`.

    Args:
        expression: Names with options, joined by `+`, each perhaps with a weight before a `*`.
        options: More options, where the expression has one term.

    Raises:
        ExpressionError, UnknownNameError, PluginError: a name cannot be read or found, or its plugin is broken.
        OptionError: an option is unknown or missing, has a value outside its type or range, or stands beside a sum.
    """
    terms = parse_sum(expression)
    if options and len(terms) > 1:
        raise OptionError(
            f"{expression!r} has {len(terms)} terms: write each one's options into it, as in bce+0.5*dice:smooth=0.5"
        )
    losses: list[tuple[float, nn.Module]] = [
        (weight, registry().build("loss", term, **options)) for weight, term in terms
    ]
    match losses:
        case [(1.0, single)]:
            return single
        case _:
            return WeightedSum(losses)
