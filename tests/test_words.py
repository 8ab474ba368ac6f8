"""The words of the field, in messages, help, docstrings, comments, names and docs."""

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_UNIT = "seed|epoch|batch|split|class|image|run|fold|device|model|plugin|pixel|second|step|channel|verb|component"
# What is found, and what the field says instead.
RETIRED = {
    r"pictures?": "image; figure or plot for what is drawn",
    r"(?<!ground )(?<!ground-)truths?": "ground truth",
    r"data sets?": "dataset",
    r"processors?": "CPU",
    r"anew": "again, from scratch",
    r"(go|goes|gone|going|went) on": "resume, continue",
    r"made with": "provenance, environment, saved by",
    r"told no more": "disabled for the rest of the run",
    r"(?<!there )(is|are|was|were) no (?!longer|more|less|fewer|larger|slower|worse|better)": "is not",
    r"(images?|pixels|steps|samples) a second": "per second",
    rf"(one|rows?|values?|ms|metrics|files?|times|masks?|tasks?) an? ({_UNIT})": "per",
    r"figures": "numbers, metrics, timings; plots for what is drawn",
    r"turned(?! off| on)|mirrored|shifted": "rotated, flipped, translated",
    r"telephones?": "phone",
    r"to be had|cannot be had": "available",
    r"(takes?|taken|took) up": "resume, continue",
    r"void": "ignore value",
    r"steers? (a|the) terminal": "inject escape sequences",
}
RETIRED_NAMES = re.compile(r"(?i)picture|(?<!ground_)(?<!ground)truth|made_with|(^|_)anew(_|$)|goes_on|gone_on")

# Where such a word is meant. Each place is a file and the text around the word.
MEANT = {
    ("docs/decisions", "*"),  # what was decided then, in the words of then
    ("tests/test_words.py", "*"),
    ("segreg/task.py", "shifted so that the largest is 0"),
}


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Give the text that people read, with its line: of code the strings and comments, of other files every line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            for number, line in enumerate(token.string.splitlines(), token.start[0]):
                yield number, re.sub(r"\{[^{}]*\}", "{}", line)


def _names(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def _files(*folders: str, suffixes: tuple[str, ...]) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return sorted(path for path in found if not {"build", "__pycache__", ".egg-info"} & set(path.parts))


def _meant(path: Path, line: str) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name.startswith(place) and (words == "*" or words in line) for place, words in MEANT)


@cache
def _read() -> list[tuple[Path, int, str]]:
    """Return every line of the product and its docs that people read."""
    paths = _files("segreg", "plugins", "docs", suffixes=(".py", ".md", ".html", ".js", ".css", ".toml", ".ipynb"))
    return [(path, *line) for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *paths) for line in _prose(path)]


@pytest.mark.parametrize(("retired", "instead"), RETIRED.items())
def test_no_retired_word_is_read_anywhere(retired: str, instead: str) -> None:
    pattern = re.compile(rf"(?i)\b(?:{retired})\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, number, line in _read()
        if pattern.search(line) and not _meant(path, line)
    ]
    assert not found, f"say {instead}:\n" + "\n".join(found)


def test_no_name_has_a_retired_word() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in _files("segreg", "plugins", "tests", "docs", suffixes=(".py",))
        for number, name in _names(path)
        if RETIRED_NAMES.search(name) and not _meant(path, name)
    ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for() -> None:
    text = "no picture of the truth went on at ten images a second, one a seed, and is no data set"
    found = {retired for retired in RETIRED if re.search(rf"(?i)\b(?:{retired})\b", text)}
    assert len(found) == 7
    assert not re.search(r"(?i)\b(?:(?<!ground )(?<!ground-)truths?)\b", "the ground truth, ground-truth.png")
