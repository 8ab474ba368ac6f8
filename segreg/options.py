"""What options a component takes, read from its signature, and values turned into the types it declares."""

import inspect
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from segreg.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from cattrs import Converter

REQUIRED = inspect.Parameter.empty


@attrs.frozen
class Option:
    """One option of a component.

    Args:
        name: As it is written in a call or an expression.
        type: The annotation, as an object.
        default: What it is if nobody says otherwise; `REQUIRED` if somebody must.
        meaning: Its line in the docstring.
    """

    name: str
    type: Any
    default: Any
    meaning: str

    @property
    def type_name(self) -> str:
        """The annotation as a person would write it: `int`, `'max' | 'conv'`, `tuple[float, ...] | None`."""
        return type_name(self.type)


def type_name(annotation: Any) -> str:
    """Write a type as a person would: `int`, `'max' | 'conv'`, `tuple[float, ...] | None`."""
    if get_origin(annotation) is Literal:
        return " | ".join(repr(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join("None" if arm is type(None) else type_name(arm) for arm in get_args(annotation))
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def options_of(target: Callable[..., Any]) -> dict[str, Option]:
    """Return the keyword-only parameters of a class or function, with their types and meanings.

    Raises:
        TypeError: the target takes something else than explicit, annotated keyword-only parameters.
    """
    from docstring_parser import DocstringStyle
    from docstring_parser import parse as parse_docstring

    docstring = parse_docstring(inspect.getdoc(target) or "", style=DocstringStyle.GOOGLE)
    meanings = {param.arg_name: " ".join((param.description or "").split()) for param in docstring.params}
    hints = get_type_hints(target.__init__ if isinstance(target, type) else target)
    options = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name not in hints:
            raise TypeError(f"parameter {name!r} of {target.__qualname__} must be keyword-only and annotated")
        options[name] = Option(name, hints[name], parameter.default, meanings.get(name, ""))
    return options


def structured(owner: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check given options against the declared ones and turn text into values of their types.

    Raises:
        OptionError: an option is unknown, missing, or has a value that its type does not take.
    """
    for name in given:
        if name not in options:
            allowed = ", ".join(options) or "none"
            raise OptionError(f"{owner} has no option {name!r}{did_you_mean(name, options)}: it has {allowed}")
    for option in options.values():
        if option.default is REQUIRED and option.name not in given:
            raise OptionError(f"{owner} needs the option {option.name!r}: write {owner}:{option.name}=...")
    return {name: structure(f"{owner}: {name}", value, options[name].type) for name, value in given.items()}


def structure(what: str, value: Any, annotation: Any) -> Any:
    """Turn a value, perhaps text, into the annotated type.

    Raises:
        OptionError: it is not of that type, nor a text that reads as one.
    """
    try:
        return converter().structure(value, annotation)
    except Exception as error:
        guess = ""
        if get_origin(annotation) is Literal and isinstance(value, str):
            guess = did_you_mean(value, [choice for choice in get_args(annotation) if isinstance(choice, str)])
        raise OptionError(f"{what} is {value!r}{guess}: it takes {type_name(annotation)}") from error


@cache
def converter() -> "Converter":
    """Return a cattrs converter that reads text but, unlike the default one, never rounds or guesses."""
    from cattrs import Converter

    strict = Converter(forbid_extra_keys=True)
    strict.register_structure_hook(bool, lambda value, _: _boolean(value))
    strict.register_structure_hook(int, lambda value, _: _integer(value))
    strict.register_structure_hook(float, lambda value, _: _number(value))
    strict.register_structure_hook(str, lambda value, _: _text(value))
    strict.register_structure_hook_func(lambda kind: get_origin(kind) is Literal, _literal)
    strict.register_structure_hook_func(lambda kind: get_origin(kind) is tuple, lambda value, kind: _tuple(strict, value, kind))
    strict.register_structure_hook_func(
        lambda kind: get_origin(kind) in (Union, types.UnionType), lambda value, kind: _union(strict, value, kind)
    )
    return strict


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _literal(value: Any, kind: Any) -> Any:
    for choice in get_args(kind):
        if value == choice and type(value) is type(choice) or isinstance(value, str) and value == str(choice):
            return choice
    raise ValueError(value)


def _tuple(strict: "Converter", value: Any, kind: Any) -> tuple[Any, ...]:
    items = (value,) if isinstance(value, str) else tuple(value)
    types_of_items = get_args(kind)
    if types_of_items[-1] is Ellipsis:
        types_of_items = types_of_items[:1] * len(items)
    return tuple(strict.structure(item, each) for item, each in zip(items, types_of_items, strict=True))


def _union(strict: "Converter", value: Any, kind: Any) -> Any:
    arms = get_args(kind)
    if type(None) in arms and (value is None or isinstance(value, str) and value.lower() == "none"):
        return None
    # Text stays text only when it reads as nothing else.
    for arm in sorted((arm for arm in arms if arm is not type(None)), key=lambda arm: arm is str):
        with suppress(Exception):
            return strict.structure(value, arm)
    raise ValueError(value)
