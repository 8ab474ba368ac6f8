"""Names, texts and errors of any content in a report, and in file names."""

import base64
import copy
import hashlib
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.errors import printable
from segreg.recipe import Recipe, make_recipe
from segreg.runs.run import Run
from segreg.studies.compare import compare
from segreg.studies.page import write_page
from segreg.studies.plan import Plan, directory_name, make_plan
from segreg.studies.summary import cells, write_report
from segreg.studies.table import Configuration
from segreg.support.files import new_directory, read_csv, slug

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><script src=//evil></script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "![x](//evil)",
    "<javascript:alert(1)>",
    "]]><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "{{ 7 * 7 }}{% for x in y %}",
    "&lt;script&gt;",
    "</pre></style></title><svg onload=alert(1)>",
    "| a | b |\n|---|---|\n",
    "\n\n# Heading\n\n<b>",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202e\u2028\0",
    "\\|\\",
    "failed: best",
    "https://evil.example www.evil.example [x][y]",
]
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Any]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        # Which row is best, or failed, is a class.
        self.tags.append((tag, tuple(each for each in attributes if each[0] != "class")))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)
        else:
            self.text += data


def unchecked(recipe: Recipe, **texts: str) -> Recipe:
    """A recipe with texts that no recipe accepts: a report must not rely on checks elsewhere."""
    recipe = copy.copy(recipe)
    for field, text in texts.items():
        object.__setattr__(recipe, field, text)
    return recipe


def report(folder: Path, name: str, rows: Sequence[tuple[str, str, str]], recipe: Recipe) -> tuple[str, str]:
    """The HTML and the Markdown of a study of failed runs."""
    made = [
        Configuration(
            label=f"{model} · {loss}",
            settings={"model": model, "loss": loss},
            recipe=recipe,
            runs=[],
            failure=failure,
            scores={},
        )
        for model, loss, failure in rows
    ]
    write_report(folder, name, made, recipe)
    write_page(folder, name, made, recipe)
    table = cells(made, recipe)[1]
    assert all(cell.isprintable() for line in table for cell in line)
    return tuple((folder / file).read_text(encoding="utf-8") for file in ("report.html", "results.md"))


@given(TEXTS, TEXTS, TEXTS, TEXTS)
@settings(max_examples=25)
def test_no_text_becomes_markup(
    tmp_path_factory: pytest.TempPathFactory, name: str, one: str, two: str, why: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    hostile = unchecked(make_recipe(), data=one, loss=two, device=why)
    page, markdown = report(folder, name, [(one, two, why or "x"), (two, one, one or "x")], hostile)
    plain, plainer = report(folder, "name", [("a", "b", "c"), ("a", "b", "c")], make_recipe())
    assert Page(page).tags == Page(plain).tags
    assert not re.search(r"<!\[|]]>|<!--", page)
    assert not re.search(r"<(?!br>)|][(\[]|://|www\.", markdown)
    assert "\x1b" not in page + markdown
    assert "\u202e" not in page + markdown
    assert "\0" not in page + markdown
    assert len(markdown.splitlines()) == len(plainer.splitlines())
    assert [line.count("|") for line in markdown.splitlines()] == [line.count("|") for line in plainer.splitlines()]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_looks_like_markup_is_shown_unchanged(tmp_path: Path, text: str) -> None:
    page, _ = report(tmp_path, text, [("a", "b", text)], make_recipe())
    assert Page(page).text.count(printable(text)) >= 2


def test_a_whole_study_of_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a file or a plugin can name: the study, classes, options, and error messages."""
    monkeypatch.chdir(tmp_path)
    listed = ",".join('"' + re.sub(r'(["\\])', r"\\\1", text) + '"' for text in HOSTILE)
    Path("evil.toml").write_text(
        'name = "../../<script>alert(1)</script>\\u0000"\n'
        "[[grid]]\nmodels = ['trial/dot:note=\"../../</td><script>alert(1)</script>\\u0000\"', 'trial/dot']\n"
        'losses = ["cross-entropy", "trial/broken"]\n',
        encoding="utf-8",
    )
    before = sorted(path.name for path in tmp_path.parent.iterdir())
    quick = {"size": 8, "epochs": 1, "batch": 4, "device": "cpu", "quiet": True}
    made = compare("evil.toml", data=f"trial/bands:train=4,valid=2,classes=[{listed}]", **quick)
    assert sorted(path.name for path in tmp_path.parent.iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.toml", "studies"]
    assert made.path == Path("studies/script-alert-1-script-trial-bands")
    for path in tmp_path.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", path.name), path
    finished = [made.run(recipe) for recipe in made.plan.recipes if made.run(recipe).finished]
    assert len(finished) == 2
    assert finished[0].results["classes"] == HOSTILE
    text = (made.path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"a", "h3"} & {tag for tag, _ in page.tags}
    fetched = [value for _, attributes in page.tags for name, value in attributes if name in ("src", "href")]
    assert fetched
    assert all(
        re.match(r"data:image/(png|jpeg);base64,[\w+/=]+$|#(image|ground-truth)-\d-\d$", value) for value in fetched
    )
    # The names of the rows are in the data of the curves, and no tag escapes from there.
    curves, script = page.scripts
    assert script == (files("segreg.studies") / "report.js").read_text(encoding="utf-8")
    assert "<" not in curves
    assert json.loads(curves)["rows"][0]["label"] == printable(f"{made.plan.recipes[0].model} · cross-entropy")
    # And if one did, the browser would run no script other than this one, and fetch nothing.
    [policy] = [
        dict(attributes)["content"]
        for _, attributes in page.tags
        if ("http-equiv", "Content-Security-Policy") in attributes
    ]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not [name for _, attributes in page.tags for name, _ in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text


RESERVED = r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)"
NAMES = TEXTS | st.sampled_from(
    [
        "../../x",
        "/etc/passwd",
        "C:\\x",
        "..",
        ".",
        "",
        "~",
        "con",
        "CON.txt",
        "nul.",
        "com1.0",
        "a" * 300,
        "…",
        "-rf",
        "a" * 59 + ".",
    ]
)


def harmless(path: Path, parent: str) -> None:
    """Check that a path is one folder in its parent, with a name that every system accepts."""
    assert path.parent == Path(parent)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", path.name)
    assert not re.match(RESERVED, path.name)
    assert len(path.name) <= 100


@given(NAMES, NAMES)
def test_no_name_escapes_its_directory(study: str, note: str) -> None:
    recipe = unchecked(make_recipe(), model=f'trial/dot:note="{note}"', loss=note or "bce")
    harmless(Plan(name=study, configurations=((recipe,),)).directory, "studies")
    harmless(Path("runs") / directory_name(recipe), "runs")
    harmless(new_directory("runs", recipe.label), "runs")
    assert slug(note) == slug(slug(note))


@given(NAMES)
def test_a_study_file_of_any_name_has_its_own_directory(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(tomli_w.dumps({"name": name, "grid": [{"models": ["unet"], "losses": ["bce"]}]}), encoding="utf-8")
    harmless(make_plan(path).directory, "studies")


def test_splits_of_any_names_are_read_back(tmp_path: Path) -> None:
    Run(tmp_path).write_splits({"train": HOSTILE})
    assert [row["name"] for row in read_csv(tmp_path / "splits.csv", ("split", "name"))] == HOSTILE
