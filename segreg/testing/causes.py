"""Where in its author's code a component's failure comes from."""

import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from segreg.isolation import Caught
from segreg.plugins import BUILTIN, Entry
from segreg.testing.subject import CheckFailed


def author_line(entry: Entry, error: BaseException) -> str:
    """Return the file and line of a component's own code at which an error was raised, else where it is defined."""
    found = ""
    for each in _chain(error):
        if isinstance(each, SyntaxError) and each.filename:
            found = f"{each.filename}:{each.lineno}"
        for frame in traceback.extract_tb(each.__traceback__):
            if any(Path(frame.filename).is_relative_to(folder) for folder in _folders(entry)):
                found = f"{frame.filename}:{frame.lineno}"
    return _short(found or _definition(entry, error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, down to the first that was raised."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _folders(entry: Entry) -> list[str]:
    """Return where the package of a component's target is."""
    name = entry.record.target.partition(":")[0].partition(".")[0]
    package = sys.modules.get(f"{BUILTIN}.builtins" if name == BUILTIN else name)
    return [*getattr(package, "__path__", ()), *filter(None, [getattr(package, "__file__", None)])]


def _definition(entry: Entry, error: BaseException) -> str:
    # Neither need exist.
    with Caught():
        target = entry.target()
        own_constructor = isinstance(target, type) and "__init__" in vars(target)
        about_options = own_constructor and not isinstance(error, CheckFailed)
        where = target.__init__ if about_options else target
        return f"{inspect.getsourcefile(where)}:{inspect.getsourcelines(where)[1]}"
    return ""


def _short(place: str) -> str:
    """Return a place with its path relative to the current directory, if it is below."""
    return place.removeprefix(f"{Path.cwd()}/")
