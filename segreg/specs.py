"""The records that plugins declare. They hold import strings, not classes, so that listing imports nothing heavy."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import attrs

from segreg.options import field_expected

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

Definition: TypeAlias = Literal["", "iou", "dice", "accuracy", "precision", "recall"]


def normalize(name: str) -> str:
    """Return the canonical spelling of a name: lower case, with `-` for `_`."""
    return name.strip().lower().replace("_", "-")


def _normalized(name: str) -> str:
    return normalize(name) if isinstance(name, str) else name


def _normalized_all(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(_normalized(name) for name in names) if isinstance(names, tuple | list) else names


def _as_tuple(values: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(values) if isinstance(values, list) else values


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, str) for each in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(_is_name(name) for name in value)


def _is_target(value: Any) -> bool:
    return isinstance(value, str) and TARGET.fullmatch(value) is not None


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and "\n" not in value


def _are_options(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(option, str) for option in value)


def _are_reasons(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_line(text) and text for pair in value.items() for text in pair)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_definition(value: Any) -> bool:
    return value in get_args(Definition)


def _named(record: "Component") -> str:
    return f"{type(record).__name__} {record.name!r}: "


_expected = partial(field_expected, owner=_named)


@attrs.frozen(kw_only=True)
class Component:
    """The fields that every record has.

    Args:
        name: What users write, without a namespace. It is converted to lower case, and `_` to `-`.
        target: Where the implementation is, as `"package.module:Class"`. Imported when the name is first used.
        summary: One line for lists.
        options: Presets: options that the target is called with unless the user overrides them.
        reference: Where the idea comes from, if the `Reference:` section of the target's docstring does not say it, as
            where one class serves several names: a paper with its equation, or a URL.
        aliases: Other names of the same component.
        known_failures: Conformance checks that it does not pass, each with the reason. They are expected to fail, and
            it is a failure if they do not.

    Raises:
        ValueError: a field does not have the form described.
    """

    name: str = attrs.field(
        converter=_normalized, validator=_expected("letters and digits, in words joined by -", _is_name)
    )
    target: str = attrs.field(validator=_expected("written as 'package.module:Class'", _is_target))
    summary: str = attrs.field(validator=_expected("one line of text", _is_line))
    options: Mapping[str, Any] = attrs.field(
        factory=dict, validator=_expected("a mapping by option name", _are_options)
    )
    reference: str = attrs.field(default="", validator=_expected("one line of text", _is_line))
    aliases: tuple[str, ...] = attrs.field(
        default=(), converter=_normalized_all, validator=_expected("a tuple of names", _are_names)
    )
    known_failures: Mapping[str, str] = attrs.field(
        factory=dict, validator=_expected("a mapping from a check to a reason of one line", _are_reasons)
    )


@attrs.frozen(kw_only=True)
class Architecture(Component):
    """A model: `target(*, in_channels=3, num_classes=1, ...)` returns a module that maps images to logits.

    Args:
        min_size: The minimum height and width it accepts, in pixels.
        pretrained_options: Options that only choose the initial weights, such as `("pretrained",)`. When weights are
            loaded from a run's file, the model is built without them, so that nothing is downloaded only to be
            overwritten. Pretrained weights are taken to expect images normalised as ImageNet's; a module with the
            attribute `pretrained_moments`, mean and deviation of each channel, says otherwise.
    """

    min_size: int = attrs.field(default=32, validator=_expected("a whole number from 1 up", _is_size))
    pretrained_options: tuple[str, ...] = attrs.field(
        default=(), converter=_as_tuple, validator=_expected("a tuple of option names", _are_texts)
    )


@attrs.frozen(kw_only=True)
class Loss(Component):
    """A loss: `target(*, ...)` returns a module that maps logits and target to a scalar."""


@attrs.frozen(kw_only=True)
class Metric(Component):
    """A metric: `target(*, num_classes, ...)` accumulates logits and targets and computes a number.

    Args:
        higher_is_better: Whether a run keeps the weights with the highest value, or those with the lowest.
        definition: What it computes, if that is one of segreg's own definitions: the conformance checks then compare it
            with a count of single pixels. Empty for anything else.
    """

    higher_is_better: bool = attrs.field(default=True, validator=_expected("True or False", _is_flag))
    definition: Definition = attrs.field(
        default="", validator=_expected(f"one of {', '.join(map(repr, get_args(Definition)))}", _is_definition)
    )


@attrs.frozen(kw_only=True)
class Dataset(Component):
    """A dataset: `target(*, root=None, ...)` has `classes` and `splits`.

    Args:
        example: For a dataset that needs files: `"package.module:function"`, which is called with an empty folder, a
            `Path`, and writes a few synthetic samples into it in the dataset's layout. The conformance checks use them
            where the data are not available. Empty for a dataset that opens without a `root`.
    """

    example: str = attrs.field(
        default="",
        validator=_expected("written as 'package.module:function'", lambda value: value == "" or _is_target(value)),
    )


@attrs.frozen(kw_only=True)
class Augmentation(Component):
    """An augmentation: `target(*, ...)` moves the pixels of an image and its mask, or changes the image's values."""


@attrs.frozen(kw_only=True)
class Optimizer(Component):
    """An optimizer: `target(params, *, ...)` returns a `torch.optim.Optimizer`; its options have their own defaults."""


@attrs.frozen(kw_only=True)
class Schedule(Component):
    """A schedule: `target(*, ...)` maps a step, and the number of steps, to a factor of the learning rate."""


@attrs.frozen(kw_only=True)
class Tracker(Component):
    """A tracker: `target(*, ...)` receives the progress of a run and logs it to another tool."""
