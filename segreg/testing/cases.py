"""The cases of the conformance kit: every check of every component, to be run by pytest or by `segreg check`."""

import warnings
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import attrs
import torch

from segreg.errors import UnknownNameError, did_you_mean
from segreg.expression import parse
from segreg.plugins import KINDS, one_line
from segreg.registry import Registry, registry
from segreg.specs import normalize
from segreg.testing import architectures, components, datasets, losses, metrics, plugins
from segreg.testing.subject import Check, CheckFailed, ComponentSubject, PluginSubject

Status: TypeAlias = Literal["passed", "failed", "failed as expected", "advice"]
STATUSES: tuple[Status, ...] = get_args(Status)

CHECKS = {
    "plugin": plugins.CHECKS,
    "architecture": (*components.CHECKS, components.REFERENCE, *architectures.CHECKS),
    "loss": (*components.CHECKS, components.REFERENCE, *losses.CHECKS),
    "metric": (*components.CHECKS, components.REFERENCE, *metrics.CHECKS),
    "dataset": (*components.CHECKS, *datasets.CHECKS),
}


class ConformanceWarning(UserWarning):
    """A check that only advises did not hold."""


@attrs.frozen
class Outcome:
    """What became of a case.

    Args:
        status: Whether it holds; `"failed as expected"` where the record names the check among its `known_failures`.
        reason: One line; empty if it holds.
        error: What the check raised, or None.
    """

    status: Status
    reason: str = ""
    error: BaseException | None = None


@attrs.frozen
class Case:
    """One check of one component, or of a plugin as a whole.

    Args:
        subject: What is checked.
        check: What is demanded of it.
    """

    subject: ComponentSubject | PluginSubject
    check: Check

    @property
    def __name__(self) -> str:
        # pytest takes this as the id of a parameter.
        return f"{self.subject.label}: {self.check.name}"

    def outcome(self) -> Outcome:
        """Run the check, with random numbers that are always the same and nobody else's."""
        excuse = self.subject.known_failures.get(self.check.name)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.check.function(self.subject)
        except Exception as error:
            reason = str(error) if isinstance(error, CheckFailed) else one_line(error)
            if excuse:
                return Outcome("failed as expected", excuse, error)
            return Outcome("advice" if self.check.advisory else "failed", reason, error)
        if excuse:
            return Outcome("failed", f"it passes now: take it out of the record's known_failures ({excuse})")
        return Outcome("passed")

    def run(self) -> None:
        """Run the check as a test.

        Raises:
            CheckFailed: it does not hold, or does and the record says that it does not.
        """
        outcome = self.outcome()
        if outcome.status == "failed":
            raise CheckFailed(f"{self.__name__}: {outcome.reason}") from outcome.error
        if outcome.status == "advice":
            warnings.warn(f"{self.__name__}: {outcome.reason}", ConformanceWarning, stacklevel=2)


def conformance_cases(*names: str, slow: bool = False) -> list[Case]:
    """Return the checks of plugins and components, for `pytest.mark.parametrize("case", ...)`.

    Args:
        names: Each is the namespace of a plugin, such as `"timm"`, for the plugin and all of its components with their
            default options; or a component, such as `"timm/unet:backbone=resnet50"`, checked with these options.
        slow: Whether to include the checks that cost much: export and compilation.

    Raises:
        ExpressionError: a name cannot be read.
        UnknownNameError: there is no such plugin or component.
        PluginError: a component's plugin is broken. (A plugin asked for by its namespace fails a check instead.)
    """
    return [
        Case(subject, check)
        for name in names
        for subject in _subjects(registry(), name)
        for check in CHECKS["plugin" if isinstance(subject, PluginSubject) else subject.entry.kind]
        if slow or not check.slow
    ]


def _subjects(known: Registry, name: str) -> Iterator[ComponentSubject | PluginSubject]:
    found = [plugin for plugin in known.plugins if plugin.namespace == normalize(name)]
    for plugin in found:
        yield PluginSubject(plugin)
        for entry in plugin.entries:
            yield ComponentSubject(known, entry, entry.key, {})
    if found:
        return
    expression = parse(name)
    entries = []
    for kind in KINDS:
        # A loss and a metric may share a name.
        try:
            entries.append(known.find(kind, expression.name))
        except UnknownNameError:
            continue
    if not entries:
        names = [plugin.namespace for plugin in known.plugins] + [entry.key for entry in known.components()]
        raise UnknownNameError(
            f"no plugin or component is called {expression.name!r}{did_you_mean(expression.name, names)}: "
            "see `segreg plugins` and `segreg list`"
        )
    for entry in entries:
        yield ComponentSubject(known, entry, str(expression), expression.options)
