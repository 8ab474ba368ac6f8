"""Where in its author's code a component's failure comes from."""

import inspect
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from segreg.isolation import Caught
from segreg.plugins import BUILTIN, Entry
from segreg.testing.subject import CheckFailed


def author_line(entry: Entry, error: BaseException) -> str:
    """Return the file and line of a component's own code at which an error was raised, else where it is defined."""
    found, places = "", _places(entry)
    for each in _chain(error):
        if isinstance(each, SyntaxError) and each.filename:
            found = f"{each.filename}:{each.lineno}"
        for frame in traceback.extract_tb(each.__traceback__):
            if any(Path(frame.filename).is_relative_to(place) for place in places):
                found = f"{frame.filename}:{frame.lineno}"
    return _short(found or _definition(entry, error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, down to the first that was raised."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(entry: Entry) -> list[str]:
    """Return the folders of the package that a component's target is in, or the file of the module."""
    name = entry.record.target.partition(":")[0].partition(".")[0]
    # What was written into a program itself has none.
    with Caught():
        found = find_spec(f"{BUILTIN}.builtins" if name == BUILTIN else name)
        return [] if found is None else list(found.submodule_search_locations or [str(found.origin)])
    return []


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
