"""The records that a plugin declares. They hold import strings, not classes, so that listing imports nothing heavy."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

Definition: TypeAlias = Literal["", "iou", "dice", "accuracy", "precision", "recall"]


def normalize(name: str) -> str:
    """Return the one spelling of a name: lower case, with `-` for `_`."""
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


def _must_be(what: str, holds: Callable[[Any], bool]) -> Callable[["Component", "attrs.Attribute[Any]", Any], None]:
    def check(record: "Component", attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not holds(value):
            raise ValueError(f"{type(record).__name__} {record.name!r}: {attribute.name} must be {what}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class Component:
    """What every record has.

    Args:
        name: What people write, without a namespace. Case is folded, and `_` becomes `-`.
        target: Where the implementation is, as `"package.module:Class"`. Imported when the name is first used.
        summary: One line for lists.
        options: Presets: options that the target is called with unless the user says otherwise.
        reference: Where the idea comes from: a paper with its equation, or an address.
        aliases: Other names of the same component.
        known_failures: Checks of the conformance kit that it does not pass, each with the reason. They are
            expected to fail, and it is a failure if they do not.

    Raises:
        ValueError: a field does not have the form described.
    """

    name: str = attrs.field(
        converter=_normalized, validator=_must_be("letters and digits, in words joined by -", _is_name)
    )
    target: str = attrs.field(validator=_must_be("written as 'package.module:Class'", _is_target))
    summary: str = attrs.field(validator=_must_be("one line of text", _is_line))
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_must_be("a mapping by option name", _are_options))
    reference: str = attrs.field(default="", validator=_must_be("one line of text", _is_line))
    aliases: tuple[str, ...] = attrs.field(
        default=(), converter=_normalized_all, validator=_must_be("a tuple of names", _are_names)
    )
    known_failures: Mapping[str, str] = attrs.field(
        factory=dict, validator=_must_be("a mapping from a check to a reason of one line", _are_reasons)
    )


@attrs.frozen(kw_only=True)
class Architecture(Component):
    """A model: `target(*, in_channels=3, num_classes=1, ...)` gives a module that maps images to logits.

    Args:
        min_size: The smallest height and width it accepts, in pixels.
        pretrained_options: Options that only choose the weights to begin with, such as `("pretrained",)`. Where weights
            are read from a run's file the model is built without them, so that nothing is fetched to be overwritten.
    """

    min_size: int = attrs.field(default=32, validator=_must_be("a whole number from 1 up", _is_size))
    pretrained_options: tuple[str, ...] = attrs.field(
        default=(), converter=_as_tuple, validator=_must_be("a tuple of option names", _are_texts)
    )


@attrs.frozen(kw_only=True)
class Loss(Component):
    """A loss: `target(*, ...)` gives a module that maps logits and target to a scalar."""


@attrs.frozen(kw_only=True)
class Metric(Component):
    """A metric: `target(*, num_classes, ...)` accumulates logits and targets and computes a number.

    Args:
        higher_is_better: Whether a run keeps the weights with the highest value, or those with the lowest.
        definition: What it computes, if that is one of segreg's own definitions: the conformance kit then compares it
            with a count of pixels, pixel by pixel. Empty for anything else.
    """

    higher_is_better: bool = attrs.field(default=True, validator=_must_be("True or False", _is_flag))
    definition: Definition = attrs.field(
        default="", validator=_must_be(f"one of {', '.join(map(repr, get_args(Definition)))}", _is_definition)
    )


@attrs.frozen(kw_only=True)
class Dataset(Component):
    """A dataset: `target(*, root=None, ...)` has `classes` and `splits`.

    Args:
        example: For one that needs files: `"package.module:function"`, which is called with an empty folder, a `Path`,
            and writes a few made-up samples into it as the dataset has them. With them the conformance kit checks
            the component where the data are not. Empty for a dataset that opens without a `root`.
    """

    example: str = attrs.field(
        default="",
        validator=_must_be("written as 'package.module:function'", lambda value: value == "" or _is_target(value)),
    )


@attrs.frozen(kw_only=True)
class Tracker(Component):
    """A tracker: `target(*, ...)` is told how a run goes, and shows it where people look."""
