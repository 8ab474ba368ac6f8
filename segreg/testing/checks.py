"""The conformance checks by kind of component: those of all kinds, and those of the kind's own file here."""

from collections.abc import Mapping, Sequence
from importlib import import_module

from segreg.kinds import KINDS
from segreg.testing import components
from segreg.testing.subject import Check

CHECKS: Mapping[str, Sequence[Check]] = {
    kind.name: (*components.CHECKS, *import_module(f"segreg.testing.{kind.plural}").CHECKS) for kind in KINDS.values()
}
