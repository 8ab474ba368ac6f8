"""Every error a user can meet. The message is one line: what was wrong, with the value, and the way out."""

import difflib
from collections.abc import Iterable

_LONGEST_LINE = 2000


class SegregError(Exception):
    """Base of all errors that segreg raises on purpose. The command line prints one as a line, with exit status 2.

    Args:
        message: What was wrong, with the value, and the way out, in one line.
        details: Where several things were wrong, a line for each.
    """

    def __init__(self, message: str = "", *details: str) -> None:
        super().__init__(message, *details)

    def __str__(self) -> str:
        """Return the message, and below it the details."""
        return "\n  ".join(printable(str(line)) for line in self.args)


class ExpressionError(SegregError, ValueError):
    """A component expression such as `unet:pool=conv` cannot be read."""


class UnknownNameError(SegregError, LookupError):
    """No component of the kind asked for has this name."""


class OptionError(SegregError, ValueError):
    """A component or a recipe was given an option that it does not have, or a value that the option does not take."""


class PluginError(SegregError, RuntimeError):
    """A name was used whose plugin is broken, disabled or contested."""


class DataError(SegregError, ValueError):
    """A dataset is missing, empty, unreadable or does not fit what its declaration says."""


class RunError(SegregError, RuntimeError):
    """A run or study directory cannot be used: it belongs to something else, or is not what it should be."""


class TrainingError(SegregError, RuntimeError):
    """Training could not go on, for example because the loss was no longer a finite number."""


def single_line(text: object) -> str:
    """Return a text with its line breaks and runs of blanks as single blanks."""
    return " ".join(str(text).split())


def printable(text: str) -> str:
    """Return the text as one line of moderate length that cannot steer a terminal, whatever file it came from."""
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]}…{text[-half:]}"
    # Besides control characters these are bytes of a file name that are no text, and marks that turn its direction.
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(value: object) -> str:
    """Return `repr(value)`, or what can be said of a value that has none."""
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list in a list ...
        return f"a value of type {type(value).__name__} that is too large to show"


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `" (did you mean 'conv'?)"` for the nearest of the allowed names, or an empty string if none is near."""
    near = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
