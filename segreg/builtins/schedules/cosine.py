"""The cosine schedule."""

import math

from segreg.options import check_option


class Cosine:
    """The learning rate rises linearly, if there is a warm-up, and then falls to zero along half a cosine.

    Formula:
        (step + 1) / (warmup * steps) during the warm-up, then (1 + cos(π * progress)) / 2

    Args:
        warmup: Share of the steps in which it rises. 0 or more, below 1.

    Raises:
        ValueError: the warm-up is outside its range.

    Reference: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2016, arXiv:1608.03983,
        equation 5, without restarts.
    """

    def __init__(self, *, warmup: float = 0.0) -> None:
        check_option("warmup", warmup, 0 <= warmup < 1, "a share of the steps, 0 or more and below 1")
        self.warmup = warmup

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of a step."""
        rising = round(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising
        return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
