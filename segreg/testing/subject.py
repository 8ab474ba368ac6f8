"""What a check looks at, and the words in which it objects."""

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


class CheckFailed(AssertionError):  # noqa: N818 - it is the kit's word for a failed assertion
    """A component does not do what its contract says."""


def expect(holds: bool | Tensor, otherwise: str) -> None:
    """Raise `CheckFailed` with the words in `otherwise` unless it holds."""
    if not holds:
        raise CheckFailed(otherwise)


@attrs.frozen
class Check:
    """One thing that a contract demands. Its name is the function's, its meaning the function's docstring.

    Args:
        function: Takes the subject, and raises if it does not hold.
        slow: Whether it costs seconds, and so runs only when asked for.
        advisory: Whether it only advises. A check that is added after the interface was frozen does.
        applies: Whether it has something to ask of a subject.
    """

    function: Callable[[Any], None]
    slow: bool = False
    advisory: bool = False
    applies: Callable[[Any], bool] = lambda subject: True

    @property
    def name(self) -> str:
        """What `known_failures` calls it."""
        return self.function.__name__.replace("_", "-")


@attrs.frozen
class PluginSubject:
    """A plugin as a whole."""

    plugin: Plugin

    @property
    def label(self) -> str:
        """What it is called in reports."""
        return f"plugin {self.plugin.namespace}"

    @property
    def known_failures(self) -> Mapping[str, str]:
        """None: a plugin as a whole has no excuse."""
        return {}


@attrs.frozen
class ComponentSubject:
    """A component with the options that it is checked with."""

    registry: Registry
    entry: Entry
    expression: str
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What it is called in reports."""
        return f"{self.entry.kind} {self.expression}"

    @property
    def known_failures(self) -> Mapping[str, str]:
        """The checks that its record says it does not pass, with reasons."""
        return self.entry.record.known_failures

    def build(self, **options: Any) -> Any:
        """Build the component anew."""
        return self.registry.build(self.entry.kind, self.entry.key, **{**self.options, **options})

    @contextmanager
    def opened(self) -> Iterator[SegmentationDataset]:
        """Open a dataset: on the folder that the expression names, else on the record's own example."""
        record = self.entry.record
        if not isinstance(record, Dataset) or not record.example or "root" in self.options:
            yield self.build()
            return
        with tempfile.TemporaryDirectory() as folder:
            imported(record.example)(Path(folder))
            yield self.build(root=folder)


def difference(got: Tensor, expected: Tensor) -> float:
    """Return how far logits are off, in the mean square, as a share of the spread of the expected ones."""
    expected = expected.double()
    spread = (expected - expected.mean()).square().mean().sqrt()
    # Logits that are nearly constant differ by rounding alone.
    scale = torch.maximum(spread, 1e-3 * expected.abs().max())
    return float((got.double() - expected).square().mean().sqrt() / scale.clamp(min=1e-30))


def agree(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Raise unless the logits are off by no more than a share of the spread of the expected ones."""
    expect(got.shape == expected.shape, f"{what}: {list(got.shape)} is not {list(expected.shape)}")
    off = difference(got, expected)
    expect(off <= tolerance, f"{what}: off by {off:.2g} of the logits' spread, where {tolerance:.2g} is allowed")


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """Return the model in evaluation mode, shaken, and with its batch norms filled from the images.

    Their running statistics are far off in a new model, and what it gives in evaluation mode then vanishes or explodes.
    """
    shaken(model)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


@torch.no_grad()
def shaken(model: nn.Module) -> nn.Module:
    """Return the model with noise added to its weights: of one that begins with zeros nothing can be seen."""
    for parameter in model.parameters():
        spread = parameter.std() if parameter.numel() > 1 else parameter.new_zeros(())
        parameter.add_(torch.randn_like(parameter) * torch.where(spread > 0, 0.3 * spread, 0.03))
    return model
