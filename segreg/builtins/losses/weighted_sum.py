"""A weighted sum of losses, such as `bce+0.5*dice`."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """The sum of losses, each multiplied by its weight.

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
