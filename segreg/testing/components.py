"""The conformance checks of every component, whatever its kind."""

import torch
from torch import nn

from segreg.errors import did_you_mean
from segreg.kinds import KINDS
from segreg.options import REQUIRED, structure
from segreg.specs import Architecture
from segreg.testing.subject import Check, ComponentSubject, expect


def target_is_found(subject: ComponentSubject) -> None:
    """The target can be imported and called. Its options are keyword-only and typed; the record names no others."""
    record = subject.entry.record
    expect(callable(subject.entry.target()), f"{record.target} cannot be called")
    options = subject.entry.options()
    for name in record.pretrained_options if isinstance(record, Architecture) else ():
        expect(
            name in options,
            f"the record's pretrained_options have {name!r}, which is not an option{did_you_mean(name, options)}",
        )


def options_are_documented(subject: ComponentSubject) -> None:
    """The target has a docstring, with a line in its `Args:` for every option."""
    # Not inspect.getdoc, which would return that of nn.Module.
    expect(bool(subject.entry.target().__doc__), f"{subject.entry.record.target} has no docstring")
    for option in subject.entry.options().values():
        expect(bool(option.meaning), f"the docstring's Args: does not describe {option.name!r}")


def defaults_are_of_their_types(subject: ComponentSubject) -> None:
    """The default of each option is a valid value of it."""
    for option in subject.entry.options().values():
        if option.default is not REQUIRED:
            fine = structure(option.name, option.default, option.type) == option.default
            expect(fine, f"{option.name} is {option.default!r} by default: expected {option.type_name}")


def unknown_options_are_refused(subject: ComponentSubject) -> None:
    """The target raises `TypeError` for an option that it does not have, instead of ignoring it."""
    needed = {name: 1 for name, option in subject.entry.options().items() if option.default is REQUIRED}
    # Only optimizers are given something: the parameters.
    given = [[nn.Parameter(torch.ones(2, 3))] for _ in KINDS[subject.entry.kind].given]
    try:
        subject.entry.target()(*given, **{**needed, **subject.options}, no_such_option=1)
    # Whatever it says: a class without a constructor does not name the option.
    except TypeError:
        return
    expect(False, "it accepts an option that it does not declare: remove **kwargs")


def has_a_reference(subject: ComponentSubject) -> None:
    """The docstring of the target, or the record, says where the idea comes from."""
    expect(
        bool(subject.entry.reference()), "it has no reference: add `Reference: ` with a paper or URL to the docstring"
    )


CHECKS = (
    Check(target_is_found),
    Check(options_are_documented),
    Check(defaults_are_of_their_types),
    Check(unknown_options_are_refused),
)
REFERENCE = Check(has_a_reference, advisory=True)
