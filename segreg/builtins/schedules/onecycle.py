"""The one-cycle schedule."""

import math

from segreg.options import check_option

# A cycle of fewer steps would begin after its peak.
_SHORTEST = 10


class OneCycle:
    """The learning rate rises along a cosine, and then falls along another one to almost nothing.

    With ten steps or fewer it is constant. It equals torch's `OneCycleLR`, whose factors are relative to the peak.

    Formula:
        rises from 1 / start to 1 over the steps 0 to warmup * steps - 1, then falls to 1 / (start * end)

    Args:
        warmup: Share of the steps in which it rises. Above 0, below 1.
        start: The peak divided by the first learning rate. Above 1.
        end: The first learning rate divided by the last. Above 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates,
        2017, arXiv:1708.07120; with cosines as in fastai.
    """

    def __init__(self, *, warmup: float = 0.1, start: float = 25.0, end: float = 1e4) -> None:
        check_option("warmup", warmup, 0 < warmup < 1, "a share of the steps above 0 and below 1")
        check_option("start", start, 1 < start < math.inf, "a finite number above 1")
        check_option("end", end, 1 < end < math.inf, "a finite number above 1")
        self.warmup, self.first = warmup, 1 / start
        self.last = self.first / end

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of a step."""
        if steps <= _SHORTEST:
            return 1.0
        peak = self.warmup * steps - 1
        if step <= peak:
            return _cosine(self.first, 1.0, step / peak)
        return _cosine(1.0, self.last, (step - peak) / (steps - 1 - peak))


def _cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) / 2 * (math.cos(math.pi * progress) + 1)
