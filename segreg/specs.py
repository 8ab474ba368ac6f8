"""The records that a plugin declares. They hold import strings, not classes, so that listing imports nothing heavy."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def normalize(name: str) -> str:
    """Return the one spelling of a name: lower case, with `-` for `_`."""
    return name.strip().lower().replace("_", "-")


def _check_name(record: "Component", attribute: "attrs.Attribute[str]", value: str) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{attribute.name} {value!r} must be words of letters and digits joined by '-'")


def _check_target(record: "Component", attribute: "attrs.Attribute[str]", value: str) -> None:
    if not isinstance(value, str) or not TARGET.fullmatch(value):
        raise ValueError(f"target {value!r} of {record.name!r} must look like 'package.module:Class'")


def _check_options(record: "Component", attribute: "attrs.Attribute[Mapping[str, Any]]", value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"options of {record.name!r} must map option names to values, not {value!r}")


def _normalized(name: Any) -> Any:
    return normalize(name) if isinstance(name, str) else name


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
        ValueError: a name, the target or the presets do not have the form described.
    """

    name: str = attrs.field(converter=_normalized, validator=_check_name)
    target: str = attrs.field(validator=_check_target)
    summary: str = attrs.field(validator=attrs.validators.instance_of(str))
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_check_options)
    reference: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    aliases: tuple[str, ...] = attrs.field(
        default=(),
        converter=lambda names: tuple(_normalized(name) for name in names),
        validator=attrs.validators.deep_iterable(_check_name),
    )


@attrs.frozen(kw_only=True)
class Architecture(Component):
    """A model: `target(*, in_channels=3, num_classes=1, ...)` gives a module that maps images to logits.

    Args:
        min_size: The smallest height and width it accepts, in pixels.
    """

    min_size: int = attrs.field(default=32, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])


@attrs.frozen(kw_only=True)
class Loss(Component):
    """A loss: `target(*, ...)` gives a module that maps logits and target to a scalar."""


@attrs.frozen(kw_only=True)
class Metric(Component):
    """A metric: `target(*, num_classes, ...)` accumulates logits and targets and computes a number.

    Args:
        higher_is_better: Whether a run keeps the weights with the highest value, or those with the lowest.
    """

    higher_is_better: bool = attrs.field(default=True, validator=attrs.validators.instance_of(bool))


@attrs.frozen(kw_only=True)
class Dataset(Component):
    """A data set: `target(*, root=None, ...)` has `classes` and `splits`."""
