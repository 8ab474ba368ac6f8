"""Schedules that each violate one requirement."""


class FactorsAreFinite:
    """Falls below zero."""

    def __call__(self, step: int, steps: int) -> float:
        return 1 - 2 * step / steps


class SomethingIsLearnt:
    """Divides integers."""

    def __call__(self, step: int, steps: int) -> float:
        return step // steps


class IsAPureFunction:
    """Follows its own calls."""

    factor = 1.0

    def __call__(self, step: int, steps: int) -> float:
        self.factor *= 0.99
        return self.factor
