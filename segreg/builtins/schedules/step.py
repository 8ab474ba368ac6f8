"""The step schedule."""

import math

from segreg.options import check_option


class Step:
    """The learning rate is multiplied by a factor at each of some points of the training.

    Formula:
        factor ** (number of milestones at or before step / steps)

    Args:
        milestones: Shares of the steps, each above 0 and below 1.
        factor: What it is multiplied by. Above 0.

    Raises:
        ValueError: an option is outside its range.

    Reference: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385, section 3.4.
    """

    def __init__(self, *, milestones: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1) -> None:
        shares = "shares of the steps, each above 0 and below 1"
        check_option("milestones", milestones, all(0 < share < 1 for share in milestones), shares)
        check_option("factor", factor, 0 < factor < math.inf, "a finite number above 0")
        self.milestones, self.factor = milestones, factor

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of a step."""
        return float(self.factor ** sum(step >= share * steps for share in self.milestones))
