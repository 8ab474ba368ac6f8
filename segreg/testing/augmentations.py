"""The conformance checks of augmentations."""

from segreg.testing.subject import Check

CHECKS: tuple[Check, ...] = ()
