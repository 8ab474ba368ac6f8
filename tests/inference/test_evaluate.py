"""An evaluation against the same worked out from `Predictor.predict` and `probabilities` by NumPy."""

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import segreg
from segreg import DataError, OptionError, RunError
from segreg.contracts import IGNORE_INDEX
from segreg.inference.calibration import Calibration
from segreg.inference.comparison import in_words
from segreg.inference.scores import Scores, logits_of
from segreg.studies.statistics import Comparison, Interval
from tests.datasets.files import save
from tests.trial import call

CLASSES = ("grass", "sea", "sun")
FILES = {
    "evaluation.md",
    "metrics.csv",
    "images.csv",
    "confusion.csv",
    "confusion.png",
    "calibration.csv",
    "calibration.png",
    "worst.png",
}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(path: Path, column: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in table(path)])


def truths(data: str, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    name, _, options = data.partition(":")
    opened = segreg.dataset(f"{name}:{options}")
    return [opened.splits[split][i] for i in range(len(opened.splits[split]))]


def evaluate(*runs: Any, **options: Any) -> segreg.Evaluation:
    return segreg.evaluate(*runs, device="cpu", precision="fp32", quiet=True, **options)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three sizes with up to three classes, and pixels that belong to none."""
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for split, number in (("train", 8), ("valid", 3), ("test", 5)):
        for index in range(number):
            height, width = ((40, 56), (48, 48), (37, 61))[index % 3]
            mask = np.zeros((height, width), np.uint8)
            mask[: rng.integers(10, 25)] = 1
            if index % 2:
                mask[5:15, 30:42] = 2
            image = np.array([(40, 160, 40), (30, 60, 200), (250, 220, 80)], np.uint8)[mask]
            mask[:, :3] = IGNORE_INDEX
            save(root / split / "images" / f"{split}{index}.png", image)
            save(root / split / "masks" / f"{split}{index}.png", mask)
    return root


@pytest.fixture(scope="session")
def scenes_run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> segreg.Run:
    return segreg.fit(
        "unet:width=4,depth=1",
        loss="ce",
        data=f"folder:root={scenes},classes=[{','.join(CLASSES)}]",
        size=32,
        epochs=2,
        batch=4,
        lr=0.02,
        out=tmp_path_factory.mktemp("runs") / "scenes",
        device="cpu",
        quiet=True,
    )


@pytest.fixture(scope="session")
def binary(run: segreg.Run, tmp_path_factory: pytest.TempPathFactory) -> segreg.Evaluation:
    """More than ten pictures that the run has not seen."""
    return evaluate(run, data="lesions:train=1,valid=1,test=13", out=tmp_path_factory.mktemp("evaluations") / "binary")


@pytest.fixture(scope="session")
def several(scenes_run: segreg.Run, tmp_path_factory: pytest.TempPathFactory) -> segreg.Evaluation:
    return evaluate(scenes_run.path, out=tmp_path_factory.mktemp("evaluations") / "several")


@pytest.fixture(params=["binary", "several"])
def case(request: pytest.FixtureRequest, run: segreg.Run, scenes_run: segreg.Run) -> Any:
    """An evaluation, the predictor, and the pictures with their masks."""
    evaluation = request.getfixturevalue(request.param)
    model = run if request.param == "binary" else scenes_run
    return evaluation, segreg.load(model, device="cpu", precision="fp32"), truths(evaluation.data, evaluation.split)


def counts(predicted: np.ndarray, mask: np.ndarray, label: int) -> tuple[int, int, int]:
    valid = mask != IGNORE_INDEX
    p, t = (predicted == label) & valid, mask == label
    return int((p & t).sum()), int((p & ~t).sum()), int((~p & t).sum())


def ratio(numerator: float, denominator: float, present: bool, absent: float) -> float:
    return absent if not present else numerator / denominator if denominator else 0.0


def test_the_values_of_pictures_are_those_of_numpy(case: Any) -> None:
    evaluation, predictor, samples = case
    classes = evaluation.classes
    rows = table(evaluation.path / "images.csv")
    assert [row["name"] for row in rows] == list(evaluation.models[0].names)
    for row, (image, mask) in zip(rows, samples, strict=True):
        predicted = predictor.predict(image)
        valid = mask != IGNORE_INDEX
        assert float(row["accuracy"]) == pytest.approx((predicted == mask)[valid].mean(), abs=1e-5)
        of_classes: dict[str, list[float]] = {}
        for index, name in enumerate(classes):
            tp, fp, fn = counts(predicted, mask, 1 if len(classes) == 1 else index)
            absent = 1.0 if len(classes) == 1 else math.nan
            for metric, (numerator, denominator) in {
                "iou": (tp, tp + fp + fn),
                "dice": (2 * tp, 2 * tp + fp + fn),
                "precision": (tp, tp + fp),
                "recall": (tp, tp + fn),
            }.items():
                expected = ratio(numerator, denominator, tp + fp + fn > 0, absent)
                of_classes.setdefault(metric, []).append(expected)
                if len(classes) > 1:
                    found = float(row[f"{metric}/{name}"] or "nan")
                    assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)
        for metric, values in of_classes.items():
            assert float(row[metric]) == pytest.approx(np.nanmean(values), abs=1e-5)


def test_the_means_of_pictures_are_the_values_of_the_table(case: Any) -> None:
    evaluation, _, samples = case
    rows = table(evaluation.path / "metrics.csv")
    shipped = ["iou", "dice", "accuracy", "precision", "recall", "hausdorff95", "surface-dice"]
    assert list(dict.fromkeys(row["metric"] for row in rows)) == shipped
    values = {(row["metric"], row["class"]): float(row["value"]) for row in rows}
    for (metric, name), value in values.items():
        column = numbers(evaluation.path / "images.csv", f"{metric}/{name}" if name else metric)
        if name or (metric, evaluation.classes[-1]) not in values:
            assert value == pytest.approx(np.nanmean(column), rel=1e-5)
        else:
            assert value == pytest.approx(np.mean([values[metric, each] for each in evaluation.classes]), rel=1e-5)
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert int(row["pictures"]) <= len(samples)
    assert len(rows) == (7 if len(evaluation.classes) == 1 else 7 + 6 * 3)


def test_the_confusions_are_those_of_numpy(case: Any) -> None:
    evaluation, predictor, samples = case
    names = ["background", "lesion"] if len(evaluation.classes) == 1 else list(CLASSES)
    rows = table(evaluation.path / "confusion.csv")
    assert [row["true class"] for row in rows] == names
    masks = [(mask, predictor.predict(image)) for image, mask in samples]
    for i, row in enumerate(rows):
        for j, name in enumerate(names):
            assert int(row[name]) == sum(((mask == i) & (predicted == j)).sum() for mask, predicted in masks)


def test_the_calibration_error_is_that_of_a_count(case: Any) -> None:
    evaluation, predictor, samples = case
    confidences, rights = [], []
    for image, mask in samples:
        probabilities = predictor.probabilities(image).astype(np.float64)
        if len(probabilities) == 1:
            probabilities = np.concatenate([1 - probabilities, probabilities])
        valid = mask != IGNORE_INDEX
        confidences.append(probabilities.max(0)[valid])
        rights.append((predictor.predict(image) == mask)[valid])
    confidence, right = np.concatenate(confidences), np.concatenate(rights)
    error = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert evaluation.models[0].calibration.error == pytest.approx(error, abs=1e-5)
    rows = table(evaluation.path / "calibration.csv")
    assert sum(int(row["pixels"]) for row in rows) == len(confidence)
    for row in rows:
        low, high = (round(float(row[name]) * 15) / 15 for name in ("above", "up_to"))
        inside = (confidence > low) & (confidence <= high)
        assert int(row["pixels"]) == inside.sum()
        assert float(row["accuracy"]) == pytest.approx(right[inside].mean(), abs=1e-5)
        assert float(row["confidence"]) == pytest.approx(confidence[inside].mean(), abs=1e-5)


@given(confidence=arrays(np.float32, 30, elements=st.floats(0, 1, width=32)), seed=st.integers(0, 99))
def test_pixels_may_come_in_any_portions(confidence: np.ndarray, seed: int) -> None:
    right = np.random.default_rng(seed).random(30) < confidence
    whole, parts = Calibration(), Calibration()
    whole.add(confidence, right)
    for part in np.array_split(np.arange(30), 4):
        parts.add(confidence[part], right[part])
    assert whole.pixels.sum() == 30
    assert parts.pixels.tolist() == whole.pixels.tolist()
    assert parts.error == pytest.approx(whole.error)
    assert 0 <= whole.error <= 1


@given(weights=arrays(np.int64, (4, 2, 3), elements=st.integers(0, 5)), near=st.booleans())
def test_logits_have_the_probabilities_and_their_classes(weights: np.ndarray, near: bool) -> None:
    probabilities = torch.from_numpy(weights + 0.1).float()
    probabilities /= probabilities.sum(0)
    if near:
        probabilities[1:] = torch.nextafter(probabilities[:1], torch.ones(()))
        probabilities /= 4
    logits = logits_of(probabilities)
    assert torch.equal(logits.max(0).indices, probabilities.max(0).indices)
    torch.testing.assert_close(logits.softmax(0), probabilities / probabilities.sum(0))
    one = logits_of(probabilities[:1])
    torch.testing.assert_close(one.sigmoid(), probabilities[:1], atol=2e-7, rtol=1e-5)
    assert torch.equal(one > 0, probabilities[:1] > 0.5)


def test_the_worst_ten_are_the_worst(binary: segreg.Evaluation) -> None:
    values = numbers(binary.path / "images.csv", "iou")
    cases = binary.models[0].worst
    assert [case.value for case in cases] == pytest.approx(np.sort(values)[:10].tolist(), abs=1e-5)
    assert [case.name for case in cases] == [binary.models[0].names[i] for i in np.argsort(values, kind="stable")[:10]]


def test_the_worst_by_a_metric_where_low_is_good_are_those_with_the_highest(run: segreg.Run, tmp_path: Path) -> None:
    found = evaluate(
        run, data="lesions:train=1,valid=1,test=13", metrics="hausdorff95 surface-dice:tolerance=4", out=tmp_path / "e"
    )
    values = numbers(found.path / "images.csv", "hausdorff95")
    assert [case.value for case in found.models[0].worst] == pytest.approx(np.sort(values)[:-11:-1].tolist(), rel=1e-5)
    assert list(found.models[0].metrics) == ["hausdorff95", "surface-dice:tolerance=4"]


def test_the_files_are_there_and_the_page_names_them(case: Any) -> None:
    evaluation, _, samples = case
    assert {path.name for path in evaluation.path.iterdir()} == FILES
    page = (evaluation.path / "evaluation.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", page)) == FILES - {"evaluation.md", "confusion.csv", "calibration.csv"}
    assert f"{len(samples)} of the split test" in page
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(evaluation.path / name) as picture:
                assert 300 < max(picture.size) < 2000


def test_two_equal_runs_do_not_differ(run: segreg.Run, tmp_path: Path) -> None:
    found = evaluate(run, run.path / "model.safetensors", metrics=["iou", "hausdorff95"], out=tmp_path / "two")
    assert [model.label for model in found.models] == [
        f"unet:width=4,depth=1 · bce ({run.path / 'model.safetensors'})" for _ in range(2)
    ]
    for comparison in found.comparisons.values():
        assert comparison == Comparison(Interval(0, 0, 0), 1.0)
    assert all("have the same" in words for words in found.words)
    assert {path.name for path in found.path.iterdir() if path.is_file()} == {
        "comparison.csv",
        "comparison.png",
        "evaluation.md",
    }
    for folder in (path for path in found.path.iterdir() if path.is_dir()):
        assert {path.name for path in folder.iterdir()} == FILES - {"evaluation.md"}


def test_two_runs_are_compared_on_the_same_pictures(run: segreg.Run, tmp_path: Path) -> None:
    worse = segreg.fit(
        "unet:width=4,depth=1", loss="dice", data=run.recipe.data, size=48, epochs=1, out=tmp_path / "w", quiet=True
    )
    evaluate(run, worse, metrics=["iou", "hausdorff95"], out=tmp_path / "two")
    folders = [tmp_path / "two" / name for name in ("1-unet-width-4-depth-1-bce", "2-unet-width-4-depth-1-dice")]
    for row in table(tmp_path / "two" / "comparison.csv"):
        means = [numbers(folder / "images.csv", row["metric"]).mean() for folder in folders]
        assert float(row["difference"]) == pytest.approx(means[0] - means[1], rel=1e-4)
    # Of six pictures, no less than all lie on one side.
    assert float(table(tmp_path / "two" / "comparison.csv")[0]["wilcoxon_p"]) >= 2 / 2**6


def test_pictures_that_belong_to_no_class_have_no_figures(scenes: Path, scenes_run: segreg.Run, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        for index in range(2):
            save(tmp_path / "void" / split / "images" / f"{index}.png", np.zeros((40, 40, 3), np.uint8))
            save(tmp_path / "void" / split / "masks" / f"{index}.png", np.full((40, 40), IGNORE_INDEX, np.uint8))
    data = f"folder:root={tmp_path / 'void'},classes=[{','.join(CLASSES)}]"
    found = evaluate(scenes_run, scenes_run.path, data=data, out=tmp_path / "e")
    assert found.words == [f"{metric} says nothing on the same 2 pictures" for metric in found.models[0].metrics]
    assert {path.name for path in (tmp_path / "e").rglob("*.png")} == {"confusion.png"}
    row = table(next((tmp_path / "e").glob("1-*")) / "metrics.csv")[0]
    assert row == {"metric": "iou", "class": "", "value": "", "low": "", "high": "", "pictures": "0"}


def words(metric: str, difference: float, low: float, high: float, p_value: float) -> str:
    one, other = (
        Scores(label=label, names=range(50), metrics={}, calibration=None, confusions=None, worst=[]) for label in "AB"
    )
    return in_words(metric, one, other, Comparison(Interval(difference, low, high), p_value))


@pytest.mark.parametrize(
    ("metric", "figures", "says"),
    [
        ("iou", (0.02, 0.01, 0.03, 0.003), "A has a higher iou than B by 0.020 [0.010, 0.030] on the same 50 pictures; "
         "Wilcoxon p = 0.003: more than chance explains"),
        ("iou", (-0.02, -0.03, -0.01, 1e-9), "B has a higher iou than A by 0.020 [0.010, 0.030] on the same 50 "
         "pictures; Wilcoxon p < 0.001: more than chance explains"),
        ("hausdorff95", (2.0, 1.0, 3.0, 0.01), "B has a lower, and so better, hausdorff95 than A by 2.000 [1.000, "
         "3.000] on the same 50 pictures; Wilcoxon p = 0.010: more than chance explains"),
        ("hausdorff95", (-2.0, -5.0, 1.0, 0.4), "A has a lower, and so better, hausdorff95 than B by 2.000 [-1.000, "
         "5.000] on the same 50 pictures; Wilcoxon p = 0.400: no more than chance explains"),
        ("iou", (0.02, 0.01, 0.03, 0.3), "the two tests disagree: the interval leaves out 0"),
        ("iou", (0.02, -0.01, 0.03, 0.03), "the two tests disagree: most pictures lean one way"),
        ("iou", (0.0, 0.0, 0.0, 1.0), "A and B have the same iou on the same 50 pictures"),
        ("iou", (math.nan, math.nan, math.nan, 1.0), "iou says nothing on the same 50 pictures"),
    ],
)  # fmt: skip
def test_a_comparison_in_words(metric: str, figures: Any, says: str) -> None:
    said = words(metric, *figures)
    assert says in said if "disagree" in says else said.endswith(says)


def test_the_command_prints_the_table_and_writes_below_evaluations(
    scenes_run: segreg.Run, several: segreg.Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--split", "valid", "--metrics", "iou", "accuracy", "--device", "cpu", "--tile", "32", "-q"]
    status, out, err = call("evaluate", str(scenes_run.path), *options)
    assert (status, err) == (0, "")
    (directory,) = (tmp_path / "evaluations").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-unet-width-4-depth-1-cross-entropy-valid", directory.name)
    row = table(directory / "metrics.csv")[0]
    value, low, high = (f"{float(row[name]):.3f}" for name in ("value", "low", "high"))
    assert re.search(rf"^iou +{value} \[{low}, {high}\]$", out, re.MULTILINE)
    for name in CLASSES:
        assert re.search(rf"^{name} +\d\.\d\d\d \[", out, re.MULTILINE)
    assert "3 pictures of valid of folder:root=" in out
    assert "chosen by their score on valid" in out
    assert "in tiles of 32" in (directory / "evaluation.md").read_text(encoding="utf-8")
    assert out.splitlines()[-1] == f"written: {Path('evaluations') / directory.name / 'evaluation.md'}"


def test_pictures_that_were_trained_on_are_said(scenes_run: segreg.Run, scenes: Path, tmp_path: Path) -> None:
    everything = evaluate(scenes_run, split="all", metrics="iou", out=tmp_path / "all")
    assert len(everything.models[0].names) == 16
    assert any("trained on pictures of train" in note for note in everything.notes)
    copied = tmp_path / "run"
    copied.mkdir()
    for name in ("recipe.toml", "model.safetensors", "splits.csv"):
        (copied / name).write_bytes((scenes_run.path / name).read_bytes())
    listed = (copied / "splits.csv").read_text().replace("test,test3", "train,test3")
    (copied / "splits.csv").write_text(listed)
    leaked = evaluate(copied, metrics="iou", out=tmp_path / "leaked")
    assert any(note.startswith("1 of the pictures, such as test3, were in train when") for note in leaked.notes)
    unchanged = evaluate(scenes_run, metrics="iou", out=tmp_path / "unchanged")
    assert len(unchanged.notes) == 1


@pytest.mark.parametrize("bad_files", ["stop", "skip"])
def test_a_bad_picture_is_treated_as_the_recipe_says(
    scenes_run: segreg.Run, scenes: Path, tmp_path: Path, bad_files: str
) -> None:
    root, copied = tmp_path / "scenes", tmp_path / "run"
    for source in scenes.rglob("*.png"):
        target = root / source.relative_to(scenes)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (root / "test" / "images" / "test4.png").write_bytes(b"no picture")
    for folder in ("images", "masks"):
        (root / "test" / folder / "test0.png").rename(root / "test" / folder / "train0.png")
    copied.mkdir()
    for name in ("model.safetensors", "splits.csv"):
        (copied / name).write_bytes((scenes_run.path / name).read_bytes())
    recipe = (scenes_run.path / "recipe.toml").read_text().replace(str(scenes), str(root))
    (copied / "recipe.toml").write_text(recipe.replace('bad_files = "stop"', f'bad_files = "{bad_files}"'))
    if bad_files == "stop":
        with pytest.raises(DataError, match=r"test4\.png is no picture"):
            evaluate(copied, out=tmp_path / "new" / "evaluation")
        assert not (tmp_path / "new" / "evaluation").exists()
    else:
        found = evaluate(copied, metrics="iou", out=tmp_path / "evaluation")
        assert len(found.models[0].names) == 4
        # That train has another picture of the name train0 is nothing to say.
        assert len(found.notes) == 2
        assert re.match(r"1 picture\(s\) left out; the first: .*test4\.png", found.notes[1])


def test_what_is_there_is_not_overwritten(run: segreg.Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds something: choose another --out"):
        evaluate(run, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["RUN", "--split", "tset"], "no pictures in a split 'tset' (did you mean 'test'?): there are train, valid, "
         "test, and all"),
        (["RUN", "--data", "SCENES"], "the data set has 3 classes (grass, sea, sun), and"),
        (["RUN", "RUN", "RUN"], "3 runs were given: evaluate one, or compare two"),
        (["nowhere"], "nowhere does not exist"),
        (["RUN", "--metrics", "iuo"], "no metric is called 'iuo' (did you mean 'iou'?)"),
        (["RUN", "SCENES_RUN"], "say on which data with --data"),
        (["ALONE"], "does not say on which data: name a data set with --data"),
        (["RUN", "--tile", "big"], "invalid int value: 'big'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    run: segreg.Run, scenes_run: segreg.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run.path / "model.safetensors").read_bytes())
    stands_for = {"RUN": run.path, "SCENES": scenes_run.recipe.data, "SCENES_RUN": scenes_run.path, "ALONE": alone}
    status, out, err = call("evaluate", *(str(stands_for.get(word, word)) for word in words))
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "evaluations").exists()


def test_classes_in_another_order_are_refused(scenes_run: segreg.Run, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 3 classes \(sea, grass, sun\)"):
        evaluate(scenes_run, data=f"folder:root={scenes},classes=[sea,grass,sun]", out=tmp_path / "e")


def test_no_run_or_three_are_refused() -> None:
    with pytest.raises(OptionError, match="0 runs were given"):
        segreg.evaluate()
