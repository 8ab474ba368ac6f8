"""What a check examines, and how it reports a failure."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationDataset
from segreg.plugins import Entry, Plugin, imported
from segreg.registry import Registry
from segreg.specs import Dataset
from segreg.support.randomness import random_state, restore_random_state

_CPU = torch.device("cpu")


class CheckFailed(AssertionError):  # noqa: N818 - the kit's name for a failed assertion
    """A component does not do what its contract requires."""


def expect(holds: bool | Tensor, otherwise: str) -> None:
    """Raise `CheckFailed` with the message `otherwise` unless the condition holds."""
    if not holds:
        raise CheckFailed(otherwise)


@attrs.frozen
class Check:
    """One requirement of a contract. Its name is that of the function, its description the function's docstring.

    Args:
        function: Takes the subject, and raises if the check fails.
        slow: Whether it takes seconds, and so runs only on request.
        advisory: Whether it is advisory, as are checks added after the interface was frozen.
        applies: Whether the check applies to a subject.
    """

    function: Callable[[Any], None]
    slow: bool = False
    advisory: bool = False
    applies: Callable[[Any], bool] = lambda subject: True

    @property
    def name(self) -> str:
        """Its name in `known_failures`."""
        return self.function.__name__.replace("_", "-")


@attrs.frozen
class PluginSubject:
    """A plugin as a whole."""

    plugin: Plugin

    @property
    def label(self) -> str:
        """Its name in reports."""
        return f"plugin {self.plugin.namespace}"

    @property
    def known_failures(self) -> Mapping[str, str]:
        """None: a plugin as a whole has no known failures."""
        return {}


@attrs.frozen(eq=False)
class ComponentSubject:
    """A component with the options that it is checked with."""

    registry: Registry
    entry: Entry
    expression: str
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its name in reports."""
        return f"{self.entry.kind} {self.expression}"

    @property
    def known_failures(self) -> Mapping[str, str]:
        """The checks that, according to its record, it does not pass, with reasons."""
        return self.entry.record.known_failures

    def build(self, *given: Any, **options: Any) -> Any:
        """Build a new instance of the component; an optimizer, from parameters."""
        return self.registry.build(self.entry.kind, self.entry.key, *given, **{**self.options, **options})

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, Any]]:
        """Yield options to open a dataset with: the folder that the expression names, else the record's example."""
        record = self.entry.record
        if not isinstance(record, Dataset) or not record.example or "root" in self.options:
            yield self.options
            return
        with tempfile.TemporaryDirectory() as folder:
            imported(record.example)(Path(folder))
            yield {**self.options, "root": folder}

    @contextmanager
    def opened(self) -> Iterator[SegmentationDataset]:
        """Open a dataset, as it was prepared."""
        with self.prepared() as options:
            yield self.build(**options)


def same_values(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same but for rounding; what is not a number is the same as another such."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other) or not one.is_floating_point():
        return torch.equal(one, other)
    scale = float(other.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return torch.allclose(one, other, rtol=1e-6, atol=1e-6 * scale, equal_nan=True)


def expect_resumed(build: Callable[[], nn.Module], step: Callable[[nn.Module, int], Tensor], *, steps: int) -> None:
    """Raise `CheckFailed` unless a state dict is the whole state: what is loaded from it continues as it would have.

    Args:
        build: Builds the component.
        step: Uses a component, for the step with this number, and returns what it gives.
        steps: Number of steps before it is interrupted, and after.
    """
    one = build()
    for number in range(steps):
        step(one, number)
    saved, generators = copy.deepcopy(one.state_dict()), random_state(_CPU)
    expected = [step(one, number) for number in range(steps, 2 * steps)]
    other = build()
    # The one that was interrupted has taken more steps by now, which must not matter to it either.
    for resumed, what in ((other, "a new instance"), (one, "the same instance")):
        resumed.load_state_dict(saved)
        restore_random_state(generators, _CPU)
        for number, value in enumerate(expected, steps):
            expect(
                same_values(step(resumed, number), value),
                f"saved after {steps} steps and loaded into {what}, it gives something else in step {number + 1}: "
                "its state must be in parameters and buffers, and its random numbers from the global generators",
            )
