"""No escape code of a plugin reaches the terminal, whatever verb meets it."""

from collections.abc import Iterator

import pytest

from segreg.registry import registry
from tests.conftest import Site
from tests.trial import call

BAD = "\\x1b]0;owned\\x07\\u202e"
"""Sets the title of the window and turns the writing direction, as written in a source file."""

BROKEN = f"print('{BAD}')\nraise ImportError('{BAD}')\n"

PLUGIN = f"""
from segreg import Architecture, Loss, hookimpl

@hookimpl
def segreg_architectures():
    for name in ("raises", "exits", "panics", "refuses", "asks", "missing"):
        target = "colourful_parts:" + name.title()
        yield Architecture(name=name, target=target, summary="a {BAD} summary", reference="{BAD}", min_size=1)
"""

PARTS = f'''
import sys

class Raises:
    error = RuntimeError

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1, mood: str = "{BAD}") -> None:
        raise self.error("{BAD}")

class Exits(Raises):
    error = SystemExit

class Panics(Raises):
    error = BaseException

class Refuses(Raises):
    error = ValueError

class Asks:
    """A {BAD} docstring.

    Args:
        mood: A {BAD} meaning.
    """

    def __init__(self, *, mood: str, tone: str = "{BAD}") -> None:
        pass

def __getattr__(name):
    raise AttributeError("{BAD}")
'''

DATA = ["--data", "trial/bands:train=4,valid=2", "--size", "8", "--device", "cpu", "--epochs", "1", "-q"]


@pytest.fixture(autouse=True)
def plugins(site: Site) -> Iterator[None]:
    site.install("shaky", BROKEN)
    site.install("colourful", PLUGIN)
    (site.path / "colourful_parts.py").write_text(PARTS)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("list", 0),
        ("list --json", 0),
        ("plugins", 0),
        ("plugins --verbose", 0),
        ("plugins --json", 0),
        ("show colourful/missing", 2),
        ("show shaky/model", 2),
        ("check shaky", 1),
        ("check shaky --verbose", 1),
        ("check colourful/missing", 1),
        ("check colourful/raises --verbose", 1),
        ("train zzzz", 2),
        ("train shaky/model", 2),
        ("train colourful/missing", 2),
        ("train colourful/raises", 2),
        ("train colourful/exits", 1),
        ("train colourful/panics", 1),
        ("train colourful/refuses", 2),
    ],
)
def test_what_a_plugin_says_is_printed_without_escape_codes(words: str, status: int, tmp_path: object) -> None:
    more = [*DATA, "--out", f"{tmp_path}/run"] if words.startswith("train") else []
    left, out, err = call(*words.split(), *more)
    assert left == status
    for printed in (out, err):
        assert not {character for character in printed if not character.isprintable()} - {"\n"}
    assert r"\x1b]0;owned\x07\u202e" in (out + err).replace("\\\\", "\\").replace("\\u00", "\\x")


def test_show_prints_a_docstring_without_escape_codes() -> None:
    status, out, err = call("show", "colourful/asks")
    assert (status, err) == (0, "")
    assert out.count(r"\x1b]0;owned\x07\u202e") == 5
    assert "\x1b" not in out
