"""The options of a component, read from its signature, and the conversion of values to the declared types."""

import inspect
import os
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from segreg.errors import OptionError, did_you_mean, shown

if TYPE_CHECKING:
    from cattrs import Converter

REQUIRED = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@attrs.frozen
class Option:
    """One option of a component.

    Args:
        name: Its name in a call or an expression.
        type: The annotation, as an object.
        default: Its value unless one is given; `REQUIRED` if one must be given.
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
    """Format a type as a person would write it: `int`, `'max' | 'conv'`, `tuple[float, ...] | None`."""
    arms = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(repr(choice) for choice in arms)
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(type_name(arm) for arm in arms)
    if annotation is types.NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    name = getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(type_name(arm) for arm in arms)}]" if arms else name


def options_of(target: Callable[..., Any], given: Sequence[str] = ()) -> Mapping[str, Option]:
    """Return the keyword-only parameters of a class or function, with their types and meanings.

    Args:
        target: The class or function.
        given: Positional parameters that it must have before its options.

    Raises:
        TypeError: the target lacks a given parameter, or has others that are not explicit, annotated and keyword-only.
        NameError: an annotation uses a name that is not imported.
    """
    meanings = meanings_of(target)
    inherits = isinstance(target, type) and "__init__" not in vars(target)
    options = {}
    parameters = dict(inspect.signature(target, eval_str=True).parameters)
    for expected, name in zip(given, [*parameters, *[""] * len(given)], strict=False):
        if name != expected or parameters.pop(name).kind not in _POSITIONAL:
            raise TypeError(f"it must begin with the parameter {expected!r}, as in `{', '.join(given)}, *, ...`")
    for name, parameter in parameters.items():
        # The constructor of nn.Module, which a class without options inherits, takes *args and **kwargs.
        if inherits and parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"its parameter {name!r} must be keyword-only and typed, as in `*, width: int = 64`")
        options[name] = Option(name, parameter.annotation, parameter.default, meanings.get(name, ""))
    return options


def meanings_of(target: Callable[..., Any]) -> Mapping[str, str]:
    """Return the description of each parameter in the `Args:` section of a docstring."""
    import docstring_parser

    docstring = docstring_parser.parse(inspect.getdoc(target) or "", style=docstring_parser.DocstringStyle.GOOGLE)
    return {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in docstring.params}


def field_expected(
    what: str, holds: Callable[[Any], bool], owner: Callable[[Any], str] = lambda _: ""
) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    """Return a validator of an attrs field that raises `OptionError` unless the value is what is expected.

    Args:
        what: What is expected, for the message.
        holds: Whether a value is that.
        owner: What the message begins with, worked out from the object whose field it is.
    """

    def check(instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        if not holds(value):
            raise OptionError(f"{owner(instance)}{field.name} is {shown(value)}: expected {what}")

    return check


def check_option(name: str, value: object, accepted: bool, allowed: str) -> None:
    """Raise `ValueError` naming the option, its value and what is allowed, unless the value is accepted."""
    if not accepted:
        raise ValueError(f"{name} is {value!r}: expected {allowed}")


def structured(owner: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check given options against the declared ones and convert text to values of their types.

    Raises:
        OptionError: an option is unknown or has a value that its type does not accept.
    """
    check_names(owner, options, given)
    return {name: structure(f"{owner}: {name}", value, options[name].type) for name, value in given.items()}


def check_names(owner: str, options: Collection[str], names: Iterable[str]) -> None:
    """Raise `OptionError` unless every name is that of an option."""
    for name in names:
        if name not in options:
            allowed = ", ".join(options) or "none"
            raise OptionError(f"{owner} has no option {name!r}{did_you_mean(name, options)}; available: {allowed}")


def structure(what: str, value: Any, annotation: Any) -> Any:
    """Convert a value, which may be text, to the annotated type.

    Raises:
        OptionError: it is neither of that type nor text that can be converted to it.
    """
    try:
        return converter().structure(value, annotation)
    except Exception as error:
        guess = did_you_mean(value, _choices(annotation)) if isinstance(value, str) else ""
        text = " ".join(shown(value).splitlines())
        raise OptionError(f"{what} is {text}{guess}: expected {type_name(annotation)}") from error


def _choices(annotation: Any) -> list[str]:
    """Return the words that a type allows, also where it allows other values besides."""
    if _is_union(annotation):
        return [choice for arm in get_args(annotation) for choice in _choices(arm)]
    return [choice for choice in get_args(annotation) if isinstance(choice, str)] if _is_literal(annotation) else []


@cache
def converter() -> "Converter":
    """Return a cattrs converter that reads text but, unlike the default one, never rounds or guesses."""
    from cattrs import Converter

    strict = Converter(forbid_extra_keys=True)
    strict.register_structure_hook(bool, lambda value, _: _boolean(value))
    strict.register_structure_hook(int, lambda value, _: _integer(value))
    strict.register_structure_hook(float, lambda value, _: _number(value))
    strict.register_structure_hook(str, lambda value, _: _text(value))
    strict.register_structure_hook_func(_is_literal, _literal)
    strict.register_structure_hook_func(_is_sequence, lambda value, kind: _sequence(strict, value, kind))
    strict.register_structure_hook_func(_is_union, lambda value, kind: _union(strict, value, kind))
    return strict


def _is_literal(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def _is_sequence(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, str):
        return words[value.lower()]
    if isinstance(value, bool):
        return value
    raise TypeError(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral | str):
        raise TypeError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise TypeError(value)
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _literal(value: Any, kind: Any) -> Any:
    for choice in get_args(kind):
        if (type(value) is type(choice) and value == choice) or (isinstance(value, str) and value == str(choice)):
            return choice
    raise ValueError(value)


def _sequence(strict: "Converter", value: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple | str):
        raise TypeError(value)
    # On the command line a list of one item needs no brackets.
    items = (value,) if isinstance(value, str) else value
    arms = get_args(kind)
    if get_origin(kind) is list or arms[1:] == (Ellipsis,):
        arms = arms[:1] * len(items)
    return get_origin(kind)(strict.structure(item, arm) for item, arm in zip(items, arms, strict=True))


def _union(strict: "Converter", value: Any, kind: Any) -> Any:
    arms = [arm for arm in get_args(kind) if arm is not types.NoneType]
    if types.NoneType in get_args(kind) and (value is None or (isinstance(value, str) and value.lower() == "none")):
        return None
    # Text stays text only if no other type accepts it.
    for arm in sorted(arms, key=lambda arm: arm is str):
        with suppress(Exception):
            return strict.structure(value, arm)
    raise ValueError(value)


def reference_of(target: Callable[..., Any]) -> str:
    """Return the `Reference:` section of a docstring as one line, empty if there is none."""
    found = re.search(r"^Reference:(.*(?:\n[ \t].*)*)", inspect.getdoc(target) or "", re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
