"""The conformance checks of optimizers."""

from segreg.testing.subject import Check

CHECKS: tuple[Check, ...] = ()
