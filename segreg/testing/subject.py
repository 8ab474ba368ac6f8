"""What a check examines, and how it reports a failure."""

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


@attrs.frozen
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

    def build(self, **options: Any) -> Any:
        """Build a new instance of the component."""
        return self.registry.build(self.entry.kind, self.entry.key, **{**self.options, **options})

    @contextmanager
    def opened(self) -> Iterator[SegmentationDataset]:
        """Open a dataset: in the folder that the expression names, else on the record's example."""
        record = self.entry.record
        if not isinstance(record, Dataset) or not record.example or "root" in self.options:
            yield self.build()
            return
        with tempfile.TemporaryDirectory() as folder:
            imported(record.example)(Path(folder))
            yield self.build(root=folder)


def difference(got: Tensor, expected: Tensor) -> float:
    """Return the root mean square error of logits, as a fraction of the spread of the expected ones."""
    expected = expected.double()
    spread = (expected - expected.mean()).square().mean().sqrt()
    # Nearly constant logits differ only by rounding.
    scale = torch.maximum(spread, 1e-3 * expected.abs().max())
    return float((got.double() - expected).square().mean().sqrt() / scale.clamp(min=1e-30))


def agree(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Raise if the logits are off by more than a fraction of the spread of the expected ones."""
    expect(got.shape == expected.shape, f"{what}: {list(got.shape)} is not {list(expected.shape)}")
    off = difference(got, expected)
    expect(off <= tolerance, f"{what}: off by {off:.2g} of the logits' spread, where {tolerance:.2g} is allowed")


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """Return the model in evaluation mode, shaken, and with batch norm statistics taken from the images.

    The running statistics of a new model are far off, so that its logits in evaluation mode vanish or explode.
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
    """Return the model with noise added to its weights: one initialized with zeros would show nothing."""
    for parameter in model.parameters():
        spread = parameter.std() if parameter.numel() > 1 else parameter.new_zeros(())
        parameter.add_(torch.randn_like(parameter) * torch.where(spread > 0, 0.3 * spread, 0.03))
    return model
