"""The records that a plugin declares. They hold import strings, not classes, so that listing imports nothing heavy."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def normalize(name: str) -> str:
    """Return the one spelling of a name: lower case, with `-` for `_`."""
    return name.strip().lower().replace("_", "-")


def _normalized(name: str) -> str:
    return normalize(name) if isinstance(name, str) else name


def _normalized_all(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(_normalized(name) for name in names) if isinstance(names, tuple | list) else names


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


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


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


@attrs.frozen(kw_only=True)
class Architecture(Component):
    """A model: `target(*, in_channels=3, num_classes=1, ...)` gives a module that maps images to logits.

    Args:
        min_size: The smallest height and width it accepts, in pixels.
    """

    min_size: int = attrs.field(default=32, validator=_must_be("a whole number from 1 up", _is_size))


@attrs.frozen(kw_only=True)
class Loss(Component):
    """A loss: `target(*, ...)` gives a module that maps logits and target to a scalar."""


@attrs.frozen(kw_only=True)
class Metric(Component):
    """A metric: `target(*, num_classes, ...)` accumulates logits and targets and computes a number.

    Args:
        higher_is_better: Whether a run keeps the weights with the highest value, or those with the lowest.
    """

    higher_is_better: bool = attrs.field(default=True, validator=_must_be("True or False", _is_flag))


@attrs.frozen(kw_only=True)
class Dataset(Component):
    """A data set: `target(*, root=None, ...)` has `classes` and `splits`."""
