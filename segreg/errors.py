"""Every error that users may see. The message is one line: what was wrong, with the value, and what to do."""

import difflib
from collections.abc import Iterable
from unicodedata import category

_LONGEST_LINE = 2000
_LONGEST_VALUE = 300
# Control characters, marks that change the writing direction, and bytes that are not text.
_CONTROL = ("Cc", "Cf", "Cs")


class SegregError(Exception):
    """Base class of all errors that segreg raises on purpose. The command line prints the message and exits with 2.

    Args:
        message: What was wrong, with the value, and what to do, in one line.
        details: One line for each of several things that were wrong.
    """

    def __init__(self, message: str = "", *details: str) -> None:
        super().__init__(message, *details)

    def __str__(self) -> str:
        """Return the message, with the details below it."""
        return "\n  ".join(printable(str(line)) for line in self.args)


class ExpressionError(SegregError, ValueError):
    """A component expression such as `unet:pool=conv` cannot be read."""


class UnknownNameError(SegregError, LookupError):
    """No component of the requested kind has this name."""


class OptionError(SegregError, ValueError):
    """A component or a recipe was given an option that it does not have, or an invalid value of an option."""


class PluginError(SegregError, RuntimeError):
    """The plugin of a component is missing, broken, disabled, or shares its namespace with another one."""


class DataError(SegregError, ValueError):
    """A dataset is missing, empty, unreadable or does not match its declaration."""


class RunError(SegregError, RuntimeError):
    """A run or study directory cannot be used: it belongs to something else, or has unexpected content."""


class TrainingError(SegregError, RuntimeError):
    """Training could not continue, for example because the loss was no longer finite."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular or plural."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"


def single_line(text: object) -> str:
    """Return the text with line breaks and runs of whitespace replaced by single spaces."""
    return " ".join(str(text).split())


def printable(text: str) -> str:
    """Return the text as one line of limited length without escape sequences, whatever file it came from."""
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]}…{text[-half:]}"
    # Besides control characters: bytes of a file name that are not text, and marks that change the writing direction.
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def printable_lines(text: str) -> str:
    """Return the text without escape sequences; unlike `printable`, with its line breaks and in full."""
    return "".join(
        each if each in "\n\t" or category(each) not in _CONTROL else each.encode("unicode_escape").decode()
        for each in text
    )


def shown(value: object) -> str:
    """Return `repr(value)`, cut if it is long, or a description of a value without one."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list in a list ...
        return f"a value of type {type(value).__name__} that is too large to show"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} … ({len(text):,} characters)"


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the closest allowed name, or None if none is close."""
    return next(iter(difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.6)), None)


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `" (did you mean 'conv'?)"` for the closest allowed name, or an empty string if none is close."""
    near = nearest(name, allowed)
    return f" (did you mean {near!r}?)" if near else ""
