"""The cases of the conformance kit: every check of every component, for pytest and `segreg check` to run."""

import warnings
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import attrs

from segreg.errors import OptionError, UnknownNameError, did_you_mean
from segreg.expression import parse
from segreg.isolation import Caught, streams_kept
from segreg.kinds import KINDS
from segreg.options import structured
from segreg.plugins import one_line
from segreg.registry import Registry, registry
from segreg.specs import normalize
from segreg.support.global_state import global_state_kept
from segreg.support.randomness import seed_all
from segreg.testing import plugins
from segreg.testing.causes import author_line
from segreg.testing.checks import CHECKS
from segreg.testing.subject import Check, CheckFailed, ComponentSubject, PluginSubject

Status: TypeAlias = Literal["passed", "failed", "failed as expected", "advice"]
STATUSES: tuple[Status, ...] = get_args(Status)


class ConformanceWarning(UserWarning):
    """An advisory check failed."""


@attrs.frozen
class Outcome:
    """The result of a case.

    Args:
        status: Whether it passed; `"failed as expected"` if the record lists the check in its `known_failures`.
        reason: One line; empty if it passed.
        error: The exception that the check raised, or None.
        where: The file and line of the component's code at which it was raised, or where the component is defined.
    """

    status: Status
    reason: str = ""
    error: BaseException | None = None
    where: str = ""


@attrs.frozen
class Case:
    """One check of one component, or of a plugin as a whole.

    Args:
        subject: What is checked.
        check: The check to run.
    """

    subject: ComponentSubject | PluginSubject
    check: Check

    @property
    def __name__(self) -> str:
        # pytest takes this as the id of a parameter.
        return f"{self.subject.label}: {self.check.name}"

    def outcome(self) -> Outcome:
        """Run the check, with fixed random seeds; whatever it does to the process is undone."""
        excuse = self.subject.known_failures.get(self.check.name)
        # What a component prints does not belong in the table of `segreg check`.
        with Caught() as caught, global_state_kept(), streams_kept(aside=True):
            seed_all(0)
            self.check.function(self.subject)
        if not caught.failed:
            if excuse:
                return Outcome("failed", f"it passes now: remove it from the record's known_failures ({excuse})")
            return Outcome("passed")
        error = caught.error
        if excuse:
            return Outcome("failed as expected", excuse, error)
        reason = str(error) if isinstance(error, CheckFailed) else one_line(error)
        where = author_line(self.subject.entry, error) if isinstance(self.subject, ComponentSubject) else ""
        return Outcome("advice" if self.check.advisory else "failed", reason, error, where)

    def run(self) -> None:
        """Run the check as a test.

        Raises:
            CheckFailed: it fails, or it passes although the record lists it as a known failure.
        """
        outcome = self.outcome()
        if outcome.status == "failed":
            raise CheckFailed(f"{self.__name__}: {outcome.reason}") from outcome.error
        if outcome.status == "advice":
            warnings.warn(f"{self.__name__}: {outcome.reason}", ConformanceWarning, stacklevel=2)


def conformance_cases(name: str, /, *names: str, slow: bool = False) -> list[Case]:
    """Return the checks of plugins and components, for `pytest.mark.parametrize("case", ...)`.

    Args:
        name: The namespace of a plugin, such as `"timm"`, for the plugin and all of its components with their default
            options; or a component, such as `"timm/unet:backbone=resnet50"`, checked with these options.
        names: More of them.
        slow: Whether to include the slow checks: export and compilation.

    Raises:
        ExpressionError: a name cannot be read.
        UnknownNameError: the plugin or component does not exist.
        OptionError: a component does not accept the options, or the checks choose them.
        PluginError: a component's plugin is broken. (A plugin asked for by its namespace fails a check instead.)
    """
    return [
        Case(subject, check)
        for each in (name, *names)
        for subject in _subjects(registry(), each)
        for check in (plugins.CHECKS if isinstance(subject, PluginSubject) else CHECKS[subject.entry.kind])
        if (slow or not check.slow) and check.applies(subject)
    ]


def _subjects(known: Registry, name: str) -> Iterator[ComponentSubject | PluginSubject]:
    # A plugin's namespace may also be a component's name: then both are meant.
    plugins_found = [plugin for plugin in known.plugins if plugin.namespace == normalize(name)]
    for plugin in plugins_found:
        yield PluginSubject(plugin)
        for entry in plugin.entries:
            yield ComponentSubject(known, entry, entry.key, {})
    expression = parse(name)
    entries = known.named(expression.name)
    if not entries and not plugins_found:
        namespaces = [plugin.namespace for plugin in known.plugins]
        near = did_you_mean(expression.name, namespaces) or known.suggestion(expression.name)
        raise UnknownNameError(
            f"unknown plugin or component {expression.name!r}{near}; see `segreg plugins` and `segreg list`"
        )
    if chosen := sorted(
        {name for entry in entries for name in KINDS[entry.kind].facts or ()} & expression.options.keys()
    ):
        raise OptionError(f"{name!r} sets {chosen[0]}, which the checks choose themselves: leave it out")
    objections = []
    for entry in entries:
        try:
            # A target that cannot be imported is reported by the checks.
            if expression.options:
                structured(entry.key, entry.options(), expression.options)
        except OptionError as error:
            objections.append(error)
        else:
            yield ComponentSubject(known, entry, str(expression), expression.options)
    if entries and len(objections) == len(entries):
        raise objections[0]
