"""A model in a file: its weights, and everything needed to rebuild it by name and to use it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import attrs
from torch import Tensor, nn

from segreg.data.split import Data
from segreg.errors import PluginError, RunError, UnknownNameError, shown, single_line
from segreg.expression import Expression, parse
from segreg.nn.meta import without_values
from segreg.nn.normalized import Normalization, Normalized
from segreg.plugins import missing_plugin
from segreg.recipe import Recipe, read_size
from segreg.registry import registry
from segreg.runs.tensor_file import read_tensors
from segreg.specs import Architecture
from segreg.support.files import reading
from segreg.task import Task, task_of


@attrs.frozen(kw_only=True)
class About:
    """The metadata of a weights file, `model.safetensors`, which describe the model.

    Args:
        segreg: The version that wrote it.
        architecture: The component's key, such as `unet` or `timm/unet`.
        options: All options that it was built with, including `in_channels` and `num_classes`.
        plugin: The distribution and version that provided the component.
        classes: One name for a binary task, else one per class.
        size: Height and width that images were resized to in training, in pixels.
        normalize: How its input is normalised, as in `Recipe`.
    """

    segreg: str
    architecture: str
    options: Mapping[str, Any]
    plugin: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    normalize: Normalization

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return len(self.classes)

    @property
    def task(self) -> Task:
        """What the logits mean."""
        return task_of(self.num_classes)

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return int(self.options["in_channels"])

    @property
    def min_size(self) -> int:
        """The minimum height and width that the model accepts, in pixels."""
        record = registry().find("architecture", self.architecture).record
        return record.min_size if isinstance(record, Architecture) else 1


def about_model(recipe: Recipe, data: Data) -> About:
    """Return the metadata of the weights file of the model that a recipe trains."""
    [architecture] = recipe.components["architecture"]
    return About(
        segreg=version("segreg"),
        architecture=architecture.entry.key,
        options=architecture.every_option(**data.facts),
        plugin=architecture.entry.plugin.origin,
        classes=tuple(data.classes),
        size=recipe.size,
        normalize=recipe.normalize,
    )


def about_of(written: Mapping[str, Any]) -> About:
    """Read the metadata of a weights file.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: they are not what segreg writes.
    """
    about = About(
        segreg=str(written["segreg"]),
        architecture=str(written["architecture"]),
        options=dict(written["options"]),
        plugin=str(written["plugin"]),
        classes=tuple(map(str, written["classes"])),
        size=read_size(written["size"]),
        normalize=written["normalize"],
    )
    if about.normalize not in get_args(Normalization):
        raise ValueError(f"normalize is {shown(about.normalize)}")
    if about.in_channels < 1:
        raise ValueError(f"in_channels is {about.in_channels}")
    if about.task.num_classes != about.options["num_classes"]:
        raise ValueError(
            f"it names {about.num_classes} classes, but num_classes is {shown(about.options['num_classes'])}"
        )
    return about


def read_model(path: Path) -> tuple[Normalized, About]:
    """Rebuild a model with its weights, in evaluation mode on the CPU, and return it with the file's metadata.

    The file may come from anyone: it names a component of the registry, and nothing is built before its shapes are
    known to match the weights.

    Raises:
        RunError: the file was not saved by segreg, or the model is no longer the same.
        PluginError: the plugin that the model came from is not installed, or broken.
    """
    weights, written = read_tensors(path, "a model saved by segreg")
    with reading(path, "a model saved by segreg"):
        about = about_of(written)
        expression = parse(about.architecture)
    try:
        return Normalized(_rebuilt(expression, about.options, weights), about.normalize).eval(), about
    except UnknownNameError as error:
        distribution, _, its_version = about.plugin.rpartition(" ")
        raise missing_plugin(path, about.architecture, distribution, its_version) from error
    except PluginError:
        raise
    # A constructor may raise anything for options that segreg never saved.
    except Exception as error:
        reason = single_line(error)[:200]
        raise RunError(f"{path} does not fit {about.architecture!r} as it is installed here: {reason}") from error


def _rebuilt(expression: Expression, options: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    record = registry().find("architecture", expression.name).record
    # Without the options that only choose initial weights, which would be overwritten.
    initial = record.pretrained_options if isinstance(record, Architecture) else ()
    options = {option: value for option, value in options.items() if option not in initial}
    with without_values():
        registry().build("architecture", expression, **options).load_state_dict(weights, assign=True)
    model: nn.Module = registry().build("architecture", expression, **options)
    model.load_state_dict(weights)
    return model
