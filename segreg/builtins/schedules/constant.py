"""A constant learning rate."""


class Constant:
    """The learning rate stays what it is.

    Formula:
        1
    """

    def __call__(self, step: int, steps: int) -> float:
        """Return the factor of a step."""
        return 1.0
