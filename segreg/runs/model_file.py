"""A model in a file: its weights, and everything needed to rebuild it by name and to use it."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import attrs
from torch import Tensor, nn

from segreg.data.split import Data
from segreg.data.survey import mean_and_deviation
from segreg.errors import OptionError, PluginError, RunError, UnknownNameError, shown, single_line
from segreg.expression import Expression, parse
from segreg.nn.meta import without_values
from segreg.nn.normalized import IMAGENET, MIN_STD, Moments, Normalization, Normalized
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
        mean: Of each channel of images in [0, 1], if `normalize` is `imagenet` or `dataset`; else empty.
        deviation: The standard deviation that goes with it.
    """

    segreg: str
    architecture: str
    options: Mapping[str, Any]
    plugin: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    normalize: Normalization
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def moments(self) -> Moments:
        """Mean and deviation."""
        return self.mean, self.deviation

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
    mean, deviation = _moments(recipe.normalize, data)
    return About(
        segreg=version("segreg"),
        architecture=architecture.entry.key,
        options=architecture.every_option(**data.facts),
        plugin=architecture.entry.plugin.origin,
        classes=tuple(data.classes),
        size=recipe.size,
        normalize=recipe.normalize,
        mean=mean,
        deviation=deviation,
    )


def check_normalization(normalize: Normalization, in_channels: int) -> None:
    """Raise `OptionError` if images of so many channels cannot be normalised like this."""
    if normalize == "imagenet" and in_channels != len(IMAGENET[0]):
        raise OptionError(
            f"normalize is 'imagenet', which is for images of 3 channels, and these have {in_channels}: "
            "use image, dataset or none"
        )


def _moments(normalize: Normalization, data: Data) -> Moments:
    check_normalization(normalize, data.in_channels)
    if normalize == "imagenet":
        return IMAGENET
    if normalize == "dataset":
        mean, deviation = mean_and_deviation(data.splits["train"])
        return mean, tuple(max(each, MIN_STD) for each in deviation)
    return (), ()


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
        mean=tuple(map(float, written.get("mean", ()))),
        deviation=tuple(map(float, written.get("deviation", ()))),
    )
    if about.normalize not in get_args(Normalization):
        raise ValueError(f"normalize is {shown(about.normalize)}")
    if about.in_channels < 1:
        raise ValueError(f"in_channels is {about.in_channels}")
    expected = about.in_channels if about.normalize in ("imagenet", "dataset") else 0
    if [len(each) for each in about.moments] != [expected] * 2:
        raise ValueError(f"it has {len(about.mean)} means and {len(about.deviation)} deviations, not {expected}")
    if not all(map(math.isfinite, about.mean)) or not all(0 < each < math.inf for each in about.deviation):
        raise ValueError("a mean or a deviation is out of range")
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
        return Normalized(_rebuilt(expression, about.options, weights), about.normalize, about.moments).eval(), about
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
