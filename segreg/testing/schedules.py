"""The conformance checks of schedules."""

from segreg.testing.subject import Check

CHECKS: tuple[Check, ...] = ()
