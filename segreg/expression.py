r"""Component expressions: `unet:pool=conv,width=32` is a name with options, `bce+0.5*dice` a weighted sum of names.

The same text is used on the command line, in TOML, in logs and in tables. Values are text here; the registry converts
them to the types that the component declares. A value is written in double quotes if it is empty, contains `,` `+` `[`
`]` `"`, or starts or ends with whitespace; inside quotes `\"` and `\\` stand for `"` and `\`. A list is written in
brackets, such as `folder:classes=[sky,road]`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from segreg.errors import ExpressionError

Value: TypeAlias = "str | tuple[Value, ...]"

# Written so that no text causes catastrophic backtracking.
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_NAME = re.compile(r"([A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+")
_OPTION = re.compile(r"[A-Za-z_]\w*")
_WEIGHT = re.compile(rf"\s*({_NUMBER}(?:[eE][+-]?\d+)?)\s*\*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
# A `+` after these is part of a number such as 1e+4, at the start of a term or of an option's value.
_OPEN_EXPONENT = re.compile(rf"(?:^|=)\s*[+-]?{_NUMBER}[eE]$")
_DEEPEST = 20
_NEEDS_QUOTES = re.compile(rf"""[,+\[\]"\\]|^\s|\s$|^$|{_OPEN_EXPONENT.pattern}""")


@attrs.frozen
class Expression:
    """A component's name and the options given with it, as text or as values.

    Args:
        name: The component's key, such as `unet` or `timm/unet`.
        options: What was written after the colon.
    """

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        """Format the expression so that `parse` reads it back, with its values as text."""
        options = ",".join(f"{option}={_format(value)}" for option, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


def parse(text: str) -> Expression:
    """Read `name` or `name:option=value,option=value`.

    Raises:
        ExpressionError: the text does not have that form.
    """
    name, colon, rest = text.strip().partition(":")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ExpressionError(f"{text!r} is not a component: write a name, or name:option=value,option=value")
    options: dict[str, Value] = {}
    for part in _split(rest, ",", text) if colon else []:
        option, equals, value = part.partition("=")
        option = option.strip()
        if not equals or not _OPTION.fullmatch(option):
            raise ExpressionError(f"{part.strip()!r} in {text!r} is not an option: write {name}:option=value")
        if option in options:
            raise ExpressionError(f"{text!r} gives the option {option!r} twice: keep one")
        options[option] = _value(value, text)
    return Expression(name, options)


def parse_sum(text: str) -> list[tuple[float, Expression]]:
    """Read a sum of weighted components, such as `bce+0.5*dice`.

    Raises:
        ExpressionError: the text does not have that form.
    """
    terms = []
    for part in _split(text, "+", text):
        weighted = _WEIGHT.match(part)
        weight, component = (float(weighted[1]), part[weighted.end() :]) if weighted else (1.0, part)
        if weight == math.inf:
            raise ExpressionError(f"{text!r} has the weight {weighted and weighted[1]}, which is not finite")
        if not component.strip():
            raise ExpressionError(f"{text!r} has an empty term: write names joined by '+', such as bce+0.5*dice")
        terms.append((weight, parse(component)))
    return terms


def format_sum(terms: Iterable[tuple[float, Expression]]) -> str:
    """Format a weighted sum so that `parse_sum` reads it back."""
    return "+".join(
        str(component) if weight == 1 else f"{str(weight).removesuffix('.0')}*{component}"
        for weight, component in terms
    )


def _split(text: str, separator: str, whole: str) -> list[str]:
    """Split at separators outside quotes and brackets, except at the `+` of a number such as 1e+4."""
    parts, start, depth, quoted, escaped = [], 0, 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character in "[]":
            depth += 1 if character == "[" else -1
            if depth < 0:
                raise ExpressionError(f"{whole!r} has a ']' without its '[': put a literal one in double quotes")
            if depth > _DEEPEST:
                raise ExpressionError(f"{whole!r} nests brackets {depth} deep: expected {_DEEPEST} levels at most")
        elif character == separator and not depth:
            # Only from the last `=`, or a long text would be searched from its start at every separator.
            last = max(start, text.rfind("=", start, position))
            if not _OPEN_EXPONENT.search(text[last:position]):
                parts.append(text[start:position])
                start = position + 1
    if quoted or depth:
        raise ExpressionError(f"{whole!r} has an unclosed {'double quote' if quoted else 'bracket'}")
    return [*parts, text[start:]]


def _value(text: str, whole: str) -> Value:
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        inner = text[1:-1].strip()
        return tuple(_value(part, whole) for part in _split(inner, ",", whole)) if inner else ()
    if quoted := _QUOTED.fullmatch(text):
        return re.sub(r'\\(["\\])', r"\1", quoted[1])
    if re.search(r'["\[\]]', text):
        raise ExpressionError(
            f"{text!r} in {whole!r} mixes quotes or brackets with text: put all of it in double quotes"
        )
    return text


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(_format(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    text = str(value)
    if not isinstance(value, int | float) and _NEEDS_QUOTES.search(text):
        text = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return text
