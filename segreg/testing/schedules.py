"""The conformance checks of a schedule: a pure function `(step, steps) -> factor of the learning rate`."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from segreg.testing.process import expect_no_global_change
from segreg.testing.subject import Check, CheckFailed, ComponentSubject, expect
from segreg.training.learning_rate import check_factor

_LENGTHS = (1, 2, 3, 10, 11, 100, 1000)
# A shorter training may have nothing but the first step of a warm-up.
_LONG_ENOUGH = 10


def factors_are_finite(subject: ComponentSubject) -> None:
    """The factor of every step is a finite number, 0 or more, in a training of 1 to 1,000 steps."""
    schedule = subject.build()
    for steps in _LENGTHS:
        for step in range(steps):
            factor = schedule(step, steps)
            try:
                check_factor(factor, step, steps)
            except ValueError as error:
                raise CheckFailed(str(error)) from None


def something_is_learnt(subject: ComponentSubject) -> None:
    """The factor is not 0 at all steps."""
    schedule = subject.build()
    for steps in _LENGTHS:
        learns = steps < _LONG_ENOUGH or any(schedule(step, steps) > 0 for step in range(steps))
        expect(learns, f"its factor is 0 at all of {steps} steps")


def is_a_pure_function(subject: ComponentSubject) -> None:
    """The same step has the same factor, in whatever order steps are asked for, and of whichever instance."""
    schedule = subject.build()
    asked = [(step, steps) for steps in _LENGTHS for step in range(steps)]
    factors = {each: schedule(*each) for each in asked}
    for what, other, order in (
        ("when it is asked again", schedule, asked),
        ("when it is asked in another order", schedule, asked[::-1]),
        ("from another instance", subject.build(), sorted(asked, key=lambda each: (each[0] * 7919) % 1009)),
    ):
        for step, steps in order:
            factor = other(step, steps)
            expect(
                factor == factors[step, steps],
                f"step {step} of {steps} has the factor {factor} {what}, not {factors[step, steps]}: a resumed run "
                "asks a new instance, in the middle of the training",
            )


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Building and calling it changes nothing of the process, and draws no random numbers."""
    expect_no_global_change(lambda: _used(subject))


def _used(subject: ComponentSubject) -> Iterator[tuple[str, Sequence[Tensor]]]:
    schedule = subject.build()
    yield "building it", []
    for step in range(100):
        schedule(step, 100)
    yield "calling it", []


CHECKS = (
    Check(factors_are_finite),
    Check(something_is_learnt),
    Check(is_a_pure_function),
    Check(global_state_is_not_modified),
)
