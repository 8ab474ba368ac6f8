"""A study that is run, grows, fails in part, is interrupted and resumed."""

import csv
import html
import re
import shutil
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from segreg.cli.main import main
from segreg.errors import DataError, OptionError, RunError
from segreg.scoring.statistics import Comparison, Interval
from segreg.studies.compare import compare
from segreg.studies.page import write_page
from segreg.studies.study import Study
from segreg.studies.summary import conclusion
from segreg.studies.table import best_configuration

HOSTILE = 'trial/dot:note="<b>$x</b>, &|"'
SETTINGS: dict[str, Any] = {
    "study": "quick",
    "models": ["trial/dot", HOSTILE],
    "seeds": [0, 1],
    "metrics": ["iou"],
    "data": 'trial/bands:classes=["<i>band"]',
    "size": (12, 8),
    "epochs": 2,
    "batch": 4,
    "augment": ["hflip"],
    "lr": 0.1,
    "device": "cpu",
    "quiet": True,
}


def weights(study: Path) -> dict[Path, int]:
    """The time at which the weights of each run were written."""
    return {path: path.stat().st_mtime_ns for path in study.glob("runs/*/model.safetensors")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[Path, int]]:
    made = compare(**SETTINGS, losses=["bce"], out=tmp_path_factory.mktemp("study") / "study")
    return made, weights(made.path)


@pytest.fixture(scope="module")
def study(small: tuple[Study, dict[Path, int]]) -> Study:
    """The small study, extended by a loss."""
    return compare(**SETTINGS, losses=["bce", "dice"], out=small[0].path)


@pytest.fixture(scope="module")
def distances(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of one configuration, by a metric where lower is better."""
    settings = {**SETTINGS, "models": ["trial/dot"], "metrics": ["hausdorff95"], "epochs": 1}
    return compare(**settings, losses=["bce"], out=tmp_path_factory.mktemp("distances") / "study")


@pytest.fixture(scope="module")
def table(study: Study) -> list[dict[str, str]]:
    return list(csv.DictReader((study.path / "results.csv").read_text(encoding="utf-8").splitlines()))


def test_a_study_has_a_report_and_one_run_per_configuration_and_seed(study: Study) -> None:
    assert sorted(path.name for path in study.path.iterdir()) == [
        "curves.png",
        "report.html",
        "results.csv",
        "results.md",
        "runs",
        "samples.png",
        "study.toml",
    ]
    assert len(list((study.path / "runs").iterdir())) == 8
    assert all(study.run(recipe).finished for recipe in study.plan.recipes)


def test_a_study_that_grows_keeps_its_runs(small: tuple[Study, dict[Path, int]], study: Study) -> None:
    before = small[1]
    after = weights(study.path)
    assert len(before) == 4
    assert len(after) == 8
    assert {path: after[path] for path in before} == before


def test_a_study_started_again_trains_nothing(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    before = weights(study.path)
    again = compare(**{**SETTINGS, "quiet": False}, losses=["bce", "dice"], out=study.path)
    assert weights(again.path) == before
    assert "8 of 8 runs are already finished" in capsys.readouterr().err


def test_the_table_agrees_with_the_runs(study: Study, table: list[dict[str, str]]) -> None:
    assert [(row["model"], row["loss"], row["seeds"]) for row in table] == [
        ("trial/dot", "bce", "2"),
        ("trial/dot", "dice", "2"),
        (HOSTILE, "bce", "2"),
        (HOSTILE, "dice", "2"),
    ]
    for row, recipes in zip(table, study.plan.configurations, strict=True):
        results = [study.run(recipe).results for recipe in recipes]
        assert [recipe.seed for recipe in recipes] == [0, 1]
        for split in ("train", "valid"):
            values = [each["metrics"][split]["iou"] for each in results]
            assert float(row[f"iou_{split}_mean"]) == pytest.approx(np.mean(values), rel=1e-4)
            assert float(row[f"iou_{split}_sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-4, abs=1e-9)
            assert float(row[f"iou_{split}_low"]) <= np.mean(values) + 1e-6
            assert float(row[f"iou_{split}_high"]) >= np.mean(values) - 1e-6
        assert row["parameters"] == "10"
        assert float(row["seconds"]) == pytest.approx(np.mean([each["seconds"] for each in results]), rel=1e-4)
        assert row["failure"] == ""


def test_the_best_row_has_the_highest_value_and_the_others_are_behind_it(table: list[dict[str, str]]) -> None:
    values = [float(row["iou_valid_mean"]) for row in table]
    best = values.index(max(values))
    assert [row["behind_best"] == "" for row in table].count(True) == 1
    assert table[best]["behind_best"] == ""
    for row, value in zip(table, values, strict=True):
        if row["behind_best"]:
            assert float(row["behind_best"]) == pytest.approx(value - max(values), abs=2e-6)
            assert float(row["behind_best_low"]) <= float(row["behind_best"]) <= float(row["behind_best_high"])


def test_the_markdown_is_one_table_with_one_line_per_row(study: Study) -> None:
    lines = (study.path / "results.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(re.findall(r"\|", table[1]))}
    assert re.search(r"\| \d\.\d{3} ± \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] \|", table[2])


@pytest.mark.parametrize("name", ["curves.png", "samples.png"])
def test_the_figures_of_a_study_are_readable_images(study: Study, name: str) -> None:
    with Image.open(study.path / name) as image:
        assert np.asarray(image.convert("L")).std() > 5


class Page(HTMLParser):
    """Collects what a browser would fetch, the tags, and the text of the cells of the first table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.inside = False
        self.feed(text[text.index("<tbody>") : text.index("</tbody>")])
        table, self.cells = self.cells, []
        self.feed(text)
        self.cells = table

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag in ("td", "th"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def test_the_report_is_one_self_contained_file(study: Study) -> None:
    text = (study.path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    known = ("data:image/png;base64,iVBOR", "data:image/jpeg;base64,/9j/", "#image-", "#ground-truth-")
    assert all(source.startswith(known) for source in page.fetched)
    # For 4 samples an image, a ground truth and 4 predictions; for 4 worst cases one each; and tiles that repeat them.
    assert len([source for source in page.fetched if source.startswith("data:")]) == 4 * (2 + 4) + 4 * (2 + 1)
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_page_agrees_with_the_table(study: Study) -> None:
    cells = Page((study.path / "report.html").read_text(encoding="utf-8")).cells
    lines = (study.path / "results.md").read_text(encoding="utf-8").splitlines()
    table = [
        html.unescape(cell.strip()) for line in lines if line.startswith("| trial") for cell in line.split("|")[1:-1]
    ]
    assert len(cells) == len(table) == 4 * 8
    for cell, expected in zip(cells, table, strict=True):
        # The page adds the probability of a difference by chance.
        words = re.sub(r"p\s[=<] [\d.]+|(not )?significant", "", cell)
        assert " ".join(words.split()) == expected


def test_the_page_states_its_provenance(study: Study) -> None:
    text = (study.path / "report.html").read_text(encoding="utf-8")
    stated = {
        "segreg": version("segreg"),
        "segreg-trial": "1.0",
        "torch": torch.__version__,
        "augment": "hflip",
        "seeds": "0, 1",
    }
    for name, value in stated.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text


def test_deleted_worst_cases_cost_the_report_only_their_section(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.path, tmp_path / "study")
    for path in tmp_path.glob("study/runs/*/worst"):
        shutil.rmtree(path)
    compare(**SETTINGS, losses=["bce", "dice"], out=tmp_path / "study")
    now, before = ((path / "report.html").read_text(encoding="utf-8") for path in (tmp_path / "study", study.path))
    assert "Worst cases" in before
    assert "Worst cases" not in now
    assert Page(now).cells == Page(before).cells


def test_names_are_escaped(study: Study) -> None:
    text = (study.path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"i", "a"} & page.tags
    assert page.cells.count(HOSTILE) == 2
    assert html.escape("<i>band") in text


def test_another_study_in_the_same_directory_is_refused(study: Study) -> None:
    before = weights(study.path)
    with pytest.raises(RunError, match=r"holds another study, which has a run with epochs \d: choose another --out"):
        compare(**{**SETTINGS, "epochs": 3}, losses=["bce", "dice"], out=study.path)
    with pytest.raises(RunError, match="holds another study"):
        compare(**SETTINGS, losses=["bce"], out=study.path)
    assert weights(study.path) == before


def test_a_study_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[[run]]\nmodel = "unet"\nmomentum = 0.9\n')
    with pytest.raises(RunError, match=r"study\.toml cannot be resumed here \(recipe has no option 'momentum'"):
        compare(**SETTINGS, losses=["bce"], out=tmp_path)


def test_a_study_whose_tracker_is_not_installed_is_read(study: Study, tmp_path: Path) -> None:
    text = (study.path / "study.toml").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(text.replace("track = []", 'track = ["mine/lines"]'), encoding="utf-8")
    assert "mine/lines" in (tmp_path / "study.toml").read_text(encoding="utf-8")
    assert Study.read(tmp_path).plan == study.plan


@pytest.mark.parametrize(("values", "best"), [((None, 5.0), 1), ((0.0, 5.0), 0), ((5.0, 0.0), 1), ((7.0, None), 0)])
def test_the_best_run_is_the_best_seed_that_has_a_value(
    distances: Study, tmp_path: Path, values: tuple[float | None, ...], best: int
) -> None:
    shutil.copytree(distances.path, tmp_path / "study")
    study = Study.read(tmp_path / "study")
    runs = [study.run(recipe) for recipe in study.plan.recipes]
    for run, value in zip(runs, values, strict=True):
        results = run.results
        results["metrics"]["valid"]["hausdorff95"] = value
        run.write_results(results)
    assert study.best == runs[best]


def test_a_row_without_a_value_is_reported_as_such(study: Study, tmp_path: Path) -> None:
    """It is not reported as possibly as good, and not sorted by it."""
    best, recipe = best_configuration(study.configurations), study.plan.recipes[0]
    without = Comparison(Interval(np.nan, np.nan, np.nan), 1.0, 0)
    others = [row for row in study.configurations if row is not best]
    rows = [best, *(attrs.evolve(row, behind_best=without) for row in others[:2]), others[2]]
    sentence = conclusion(rows, recipe)
    assert sentence.endswith(f" {others[0].label} and {others[1].label} have no value there.")
    assert sum(sentence.count(row.label) for row in others[:2]) == 2
    write_page(tmp_path, "x", rows, recipe)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'data-value="nan"' not in page
    assert page.count("+nan</b>") == 2
    assert page.count("significant</small>") == 1


def test_the_rows_of_a_long_table_have_the_legend_of_their_curves(study: Study, tmp_path: Path) -> None:
    write_page(tmp_path, "x", [*study.configurations] * 3, study.plan.recipes[0])
    keys = re.findall(r'class="(key k\d(?: dashed)?)"', (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert keys[:12] == keys[12:]
    assert len(set(keys)) == 12


def test_a_count_of_one_is_in_the_singular(distances: Study) -> None:
    page, table = ((distances.path / name).read_text(encoding="utf-8") for name in ("report.html", "results.md"))
    assert re.search(r'<p class="facts">1 configuration · 2 seeds · .* · 1 epoch</p>', page)
    assert "2 seeds; with more" in table


@pytest.mark.parametrize("name", ["study.toml", "notes.txt"])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('[[grid]]\nmodels = ["unet"]\n')
    with pytest.raises(RunError, match=r"not written by a study|not a study"):
        compare(**SETTINGS, losses=["bce"], out=tmp_path)
    assert (tmp_path / name).read_text().startswith("[[grid]]")
    assert len(list(tmp_path.iterdir())) == 1


def test_wrong_data_or_a_wrong_device_leaves_no_files_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        compare("quick", data=f"ph2:root={tmp_path}/missing", out=tmp_path / "study")
    with pytest.raises(OptionError, match="device"):
        compare("quick", device="cuda:99", out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_study_with_failed_and_interrupted_runs_is_resumed(
    tmp_path: Path, parts: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run fails, one is interrupted; the same command resumes, and reports in the end what failed."""
    settings = {**SETTINGS, "models": ["trial/dot"], "seeds": [0], "metrics": ["trial/mistakes", "iou"], "quiet": False}
    settings["data"] = "trial/bands:test=3"
    losses = ["trial/broken", "dice", "trial/fragile"]
    # There are 4 steps per epoch: this is in the second one.
    monkeypatch.setattr(parts, "TROUBLE", (6, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        compare(**settings, losses=losses, out=tmp_path / "study")
    printed = capsys.readouterr().err
    reason = "RuntimeError: a <b>broken</b> loss of two lines"
    assert f"failed: trial/broken: {reason}\n" in printed
    assert "interrupted; rerun the same command to resume\n" in printed
    assert "--resume" not in printed

    monkeypatch.setattr(parts, "TROUBLE", None)
    before = {path: time for path, time in weights(tmp_path / "study").items() if "-dice-" in path.parent.name}
    assert len(before) == 1
    words = ["compare", "quick", "--models", "trial/dot", "--losses", *losses, "--seeds", "0"]
    words += ["--metrics", *settings["metrics"], "--data", settings["data"], "--size", "12x8", "--epochs", "2"]
    words += ["--batch", "4", "--augment", "hflip", "--lr", "0.1", "--device", "cpu", "--out", str(tmp_path / "study")]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 1
    output = capsys.readouterr()
    assert "1 of 3 runs are already finished" in output.err
    assert "resuming after epoch 1" in output.err
    after = weights(tmp_path / "study")
    assert {path: after[path] for path in before} == before

    lines = output.out.splitlines()
    row = next(line for line in lines if "trial/broken" in line)
    assert f"failed: {reason}" in row
    assert [line.split()[0] for line in lines[2:5]] == losses
    assert re.fullmatch(r"(dice|trial/fragile) is best on valid, with trial/mistakes 0\.\d{3}\. .*", lines[-4])
    assert lines[-2] == f"best:   {Study.read(tmp_path / 'study').best.path}"
    assert lines[-1] == f"report: {tmp_path / 'study' / 'report.html'}"
    table = list(csv.DictReader((tmp_path / "study" / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["failure"] for row in table] == [reason, "", ""]
    assert [row["seeds"] for row in table] == ["0", "1", "1"]
    assert table[1]["iou_test_sd"] == "nan"
    # Fewer mistakes are better.
    better, worse = sorted(table[1:], key=lambda row: float(row["trial/mistakes_valid_mean"]))
    assert better["behind_best"] == ""
    assert float(worse["behind_best"]) > 0
    text = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert f"failed: {reason}" in page.cells
    assert "<b>broken" not in text


def test_a_study_in_which_everything_fails_still_has_a_report(tmp_path: Path) -> None:
    settings = {**SETTINGS, "models": ["trial/dot"], "seeds": [0], "losses": ["trial/broken", "trial/nan"]}
    made = compare(**settings, out=tmp_path / "study")
    assert made.configurations[0].failure.startswith("RuntimeError: ")
    assert made.configurations[1].failure.startswith("the loss was nan in epoch 1, step 1 of 4; kept: nothing; likely")
    assert sorted(path.name for path in made.path.glob("*.*")) == [
        "report.html",
        "results.csv",
        "results.md",
        "study.toml",
    ]
    assert "the loss was nan in epoch 1" in (made.path / "results.md").read_text(encoding="utf-8")
