"""An evaluation against the same computed from `Predictor.predict` and `probabilities` in NumPy."""

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.stats import wilcoxon

import segreg
from segreg import DataError, OptionError, RunError
from segreg.contracts import IGNORE_INDEX
from segreg.evaluation.calibration import Calibration
from segreg.evaluation.comparison import in_words, plot_comparison
from segreg.evaluation.confusion_matrix import plot_confusions
from segreg.evaluation.scores import Score, Scores
from segreg.scoring.statistics import Comparison, Interval
from tests.builtins.datasets.files import blob, colours, save
from tests.hostile.malformed_images import png
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


def ground_truths(data: str, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    name, _, options = data.partition(":")
    opened = segreg.dataset(f"{name}:{options}")
    return [opened.splits[split][i] for i in range(len(opened.splits[split]))]


def evaluate(*runs: Any, **options: Any) -> segreg.Evaluation:
    return segreg.evaluate(*runs, device="cpu", precision="fp32", quiet=True, **options)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three sizes with up to three classes, and ignored pixels."""
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
    """More than ten images that the run has not seen."""
    return evaluate(run, data="lesions:train=1,valid=1,test=13", out=tmp_path_factory.mktemp("evaluations") / "binary")


@pytest.fixture(scope="session")
def several(scenes_run: segreg.Run, tmp_path_factory: pytest.TempPathFactory) -> segreg.Evaluation:
    return evaluate(scenes_run.path, out=tmp_path_factory.mktemp("evaluations") / "several")


@pytest.fixture(params=["binary", "several"])
def case(request: pytest.FixtureRequest, run: segreg.Run, scenes_run: segreg.Run) -> Any:
    """An evaluation, the predictor, and the images with their masks."""
    evaluation = request.getfixturevalue(request.param)
    model = run if request.param == "binary" else scenes_run
    return (
        evaluation,
        segreg.load(model, device="cpu", precision="fp32"),
        ground_truths(evaluation.data, evaluation.split),
    )


def counts(predicted: np.ndarray, mask: np.ndarray, label: int) -> tuple[int, int, int]:
    valid = mask != IGNORE_INDEX
    p, t = (predicted == label) & valid, mask == label
    return int((p & t).sum()), int((p & ~t).sum()), int((~p & t).sum())


def ratio(numerator: float, denominator: float, present: bool, absent: float) -> float:
    return absent if not present else numerator / denominator if denominator else 0.0


def test_the_values_per_image_match_numpy(case: Any) -> None:
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


def test_the_values_of_the_table_are_the_means_over_images(case: Any) -> None:
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
        assert int(row["images"]) <= len(samples)
    assert len(rows) == (7 if len(evaluation.classes) == 1 else 7 + 6 * 3)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_the_intervals_match_a_bootstrap_over_the_images(case: Any) -> None:
    evaluation, _, samples = case
    drawn = np.random.default_rng(0).integers(len(samples), size=(1000, len(samples)))
    rows = table(evaluation.path / "metrics.csv")
    of_classes = {row["metric"] for row in rows if row["class"]}
    for row in rows:
        metric, name = row["metric"], row["class"]
        columns = [f"{metric}/{each}" for each in ([name] if name else evaluation.classes)]
        if metric not in of_classes:
            columns = [metric]
        means = [np.nanmean(numbers(evaluation.path / "images.csv", each)[drawn], axis=1) for each in columns]
        low, high = np.nanquantile(np.nanmean(means, axis=0), [0.025, 0.975])
        assert (float(row["low"]), float(row["high"])) == pytest.approx((low, high), rel=1e-4), row


def test_the_confusion_matrices_match_numpy(case: Any) -> None:
    evaluation, predictor, samples = case
    names = ["background", "lesion"] if len(evaluation.classes) == 1 else list(CLASSES)
    rows = table(evaluation.path / "confusion.csv")
    assert [row["true class"] for row in rows] == names
    masks = [(mask, predictor.predict(image)) for image, mask in samples]
    for i, row in enumerate(rows):
        for j, name in enumerate(names):
            assert int(row[name]) == sum(((mask == i) & (predicted == j)).sum() for mask, predicted in masks)


def test_the_calibration_error_matches_a_count(case: Any) -> None:
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
def test_pixels_may_be_added_in_any_portions(confidence: np.ndarray, seed: int) -> None:
    right = np.random.default_rng(seed).random(30) < confidence
    whole, parts = Calibration(), Calibration()
    whole.add(confidence, right)
    for part in np.array_split(np.arange(30), 4):
        parts.add(confidence[part], right[part])
    assert whole.pixels.sum() == 30
    assert parts.pixels.tolist() == whole.pixels.tolist()
    assert parts.error == pytest.approx(whole.error)
    assert 0 <= whole.error <= 1


def test_the_worst_ten_have_the_lowest_values(binary: segreg.Evaluation) -> None:
    values = numbers(binary.path / "images.csv", "iou")
    cases = binary.models[0].worst
    assert [case.value for case in cases] == pytest.approx(np.sort(values)[:10].tolist(), abs=1e-5)
    assert [case.name for case in cases] == [binary.models[0].names[i] for i in np.argsort(values, kind="stable")[:10]]


def test_the_worst_by_a_metric_where_lower_is_better_have_the_highest_values(run: segreg.Run, tmp_path: Path) -> None:
    found = evaluate(
        run, data="lesions:train=1,valid=1,test=13", metrics="hausdorff95 surface-dice:tolerance=4", out=tmp_path / "e"
    )
    values = numbers(found.path / "images.csv", "hausdorff95")
    assert [case.value for case in found.models[0].worst] == pytest.approx(np.sort(values)[:-11:-1].tolist(), rel=1e-5)
    assert list(found.models[0].metrics) == ["hausdorff95", "surface-dice:tolerance=4"]


def test_the_files_exist_and_the_page_links_to_them(case: Any) -> None:
    evaluation, _, samples = case
    assert {path.name for path in evaluation.path.iterdir()} == FILES
    page = (evaluation.path / "evaluation.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", page)) == FILES - {"evaluation.md", "confusion.csv", "calibration.csv"}
    assert f"{len(samples)} of split test" in page
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(evaluation.path / name) as image:
                assert 300 < max(image.size) < 2000


def test_two_identical_runs_do_not_differ(run: segreg.Run, tmp_path: Path) -> None:
    found = evaluate(run, run.path / "model.safetensors", metrics=["iou", "hausdorff95"], out=tmp_path / "two")
    assert [model.label for model in found.models] == [
        f"unet:width=4,depth=1 · bce ({run.path / 'model.safetensors'})" for _ in range(2)
    ]
    for comparison in found.comparisons.values():
        assert comparison == Comparison(Interval(0, 0, 0), 1.0, 0)
    assert all("have the same" in words for words in found.words)
    assert {path.name for path in found.path.iterdir() if path.is_file()} == {
        "comparison.csv",
        "comparison.png",
        "evaluation.md",
    }
    for folder in (path for path in found.path.iterdir() if path.is_dir()):
        assert {path.name for path in folder.iterdir()} == FILES - {"evaluation.md"}


def test_two_runs_are_compared_on_the_same_images(run: segreg.Run, tmp_path: Path) -> None:
    worse = segreg.fit(
        "unet:width=4,depth=1", loss="dice", data=run.recipe.data, size=48, epochs=1, out=tmp_path / "w", quiet=True
    )
    found = evaluate(run, worse, metrics=["iou", "hausdorff95"], out=tmp_path / "two")
    folders = [tmp_path / "two" / name for name in ("1-unet-width-4-depth-1-bce", "2-unet-width-4-depth-1-dice")]
    drawn = np.random.default_rng(0).integers(6, size=(1000, 6))
    for row, words in zip(table(tmp_path / "two" / "comparison.csv"), found.words, strict=True):
        one, other = (numbers(folder / "images.csv", row["metric"]) for folder in folders)
        differences = one - other
        low, high = np.quantile(differences[drawn].mean(1), [0.025, 0.975])
        p_value = wilcoxon(differences[differences != 0]).pvalue
        expected = pytest.approx((differences.mean(), low, high, p_value), rel=1e-3)
        assert tuple(float(row[name]) for name in ("difference", "low", "high", "wilcoxon_p")) == expected
        by_interval, by_test = low > 0 or high < 0, p_value < 0.05
        assert ("disagree" in row["verdict"]) == (by_interval != by_test)
        assert (row["verdict"] == "not significant") == (not by_interval and not by_test)
        assert words.endswith(row["verdict"])


def test_images_in_which_every_pixel_is_ignored_have_no_values(
    scenes: Path, scenes_run: segreg.Run, tmp_path: Path
) -> None:
    for split in ("train", "valid"):
        for index in range(2):
            save(tmp_path / "void" / split / "images" / f"{index}.png", np.zeros((40, 40, 3), np.uint8))
            save(tmp_path / "void" / split / "masks" / f"{index}.png", np.full((40, 40), IGNORE_INDEX, np.uint8))
    data = f"folder:root={tmp_path / 'void'},classes=[{','.join(CLASSES)}]"
    found = evaluate(scenes_run, scenes_run.path, data=data, out=tmp_path / "e")
    assert found.words == [f"{metric} has no value on the same 2 images" for metric in found.models[0].metrics]
    assert {path.name for path in (tmp_path / "e").rglob("*.png")} == {"confusion.png"}
    row = table(next((tmp_path / "e").glob("1-*")) / "metrics.csv")[0]
    assert row == {"metric": "iou", "class": "", "value": "", "low": "", "high": "", "images": "0"}


def scores(label: str, metrics: Any) -> Scores:
    names = [str(number) for number in range(50)]
    return Scores(
        label=label, splits=["test"] * 50, names=names, metrics=metrics, calibration=None, confusions=None, worst=[]
    )


def words(metric: str, difference: float, low: float, high: float, p_value: float, direction: int = 0) -> str:
    direction = direction or int(np.sign(np.nan_to_num(difference)))
    compared = Comparison(Interval(difference, low, high), p_value, direction)
    return in_words(metric, scores("A", {}), scores("B", {}), compared)


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("iou", (0.02, 0.01, 0.03, 0.003), "A has a higher iou than B by 0.020 [0.010, 0.030] on the same 50 images; "
         "Wilcoxon p = 0.003: significant"),
        ("iou", (-0.02, -0.03, -0.01, 1e-9), "B has a higher iou than A by 0.020 [0.010, 0.030] on the same 50 "
         "images; Wilcoxon p < 0.001: significant"),
        ("hausdorff95", (2.0, 1.0, 3.0, 0.01), "B has a lower (better) hausdorff95 than A by 2.000 [1.000, "
         "3.000] on the same 50 images; Wilcoxon p = 0.010: significant"),
        ("hausdorff95", (-2.0, -5.0, 1.0, 0.4), "A has a lower (better) hausdorff95 than B by 2.000 [-1.000, "
         "5.000] on the same 50 images; Wilcoxon p = 0.400: not significant"),
        ("iou", (0.02, 0.01, 0.03, 0.3), "the two tests disagree: the interval excludes 0"),
        ("iou", (0.02, -0.01, 0.03, 0.03), "the two tests disagree: Wilcoxon's test favours the same model"),
        ("iou", (0.02, -0.01, 0.03, 0.03, -1), "the two tests disagree: Wilcoxon's test favours the other model"),
        ("iou", (-0.09, -0.17, -0.02, 0.038, 1), "B has a higher iou than A by 0.090 [0.020, 0.170] on the same 50 "
         "images; Wilcoxon p = 0.038: the two tests point in opposite directions: the interval excludes 0, but "
         "Wilcoxon's test favours the other model, so that a few images with large differences decide the value"),
        ("iou", (0.0, 0.0, 0.0, 1.0), "A and B have the same iou on the same 50 images"),
        ("iou", (math.nan, math.nan, math.nan, 1.0), "iou has no value on the same 50 images"),
    ],
)  # fmt: skip
def test_a_comparison_in_words(metric: str, values: Any, expected: str) -> None:
    sentence = words(metric, *values)
    assert expected in sentence if "disagree" in expected else sentence.endswith(expected)


def test_a_metric_without_an_image_scored_by_both_is_not_plotted(tmp_path: Path) -> None:
    first, second = (np.where(np.arange(50) % 2 == odd, 0.5, np.nan) for odd in (0, 1))
    one, other = (
        scores(label, {"iou": Score(value=None, classes=[], images=images, images_by_class=None, states=None)})
        for label, images in (("A", first), ("B", second))
    )
    compared = Comparison(Interval(0.0, 0.0, 0.0), 1.0, 0)
    plot_comparison(tmp_path / "nothing.png", "iou", one, other, compared)
    assert not list(tmp_path.iterdir())
    plot_comparison(tmp_path / "something.png", "iou", one, one, compared)
    assert (tmp_path / "something.png").exists()


def test_many_classes_do_not_make_a_figure_that_fills_the_memory(tmp_path: Path) -> None:
    plot_confusions(tmp_path / "c.png", "A", np.eye(150, dtype=np.int64), [f"class {number}" for number in range(150)])
    with Image.open(tmp_path / "c.png") as image:
        assert max(image.size) < 3500


@pytest.mark.parametrize("options", [{"tta": True}, {"tile": 32}], ids=["tta", "tile"])
def test_prediction_options_are_those_of_the_predictor(
    run: segreg.Run, tmp_path: Path, options: dict[str, Any]
) -> None:
    data = "lesions:train=1,valid=1,test=3"
    evaluate(run, data=data, metrics="accuracy", out=tmp_path / "e", **options)
    found = numbers(tmp_path / "e" / "images.csv", "accuracy")
    values = [
        [(predictor.predict(image) == mask).mean() for image, mask in ground_truths(data, "test")]
        for predictor in (segreg.load(run, device="cpu", precision="fp32", **each) for each in (options, {}))
    ]
    assert found == pytest.approx(np.array(values[0]), abs=1e-5)
    assert found != pytest.approx(np.array(values[1]), abs=1e-5)


def copied(run: segreg.Run, to: Path, *changes: tuple[str, str]) -> Path:
    """Copy a run, with changes to its recipe."""
    to.mkdir(parents=True)
    for name in ("model.safetensors", "splits.csv"):
        (to / name).write_bytes((run.path / name).read_bytes())
    recipe = (run.path / "recipe.toml").read_text(encoding="utf-8")
    for before, after in changes:
        assert before in recipe
        recipe = recipe.replace(before, after)
    (to / "recipe.toml").write_text(recipe, encoding="utf-8")
    return to


def folder(root: Path, **names: list[str]) -> str:
    """Small images of two classes, by their names in each split; those called `bad...` cannot be read."""
    for split, members in names.items():
        for name in members:
            mask = np.zeros((40, 40), np.uint8)
            mask[: 10 + len(split)] = 1
            save(root / split / "images" / f"{name}.png", np.repeat(mask[..., None] * 200, 3, axis=2))
            save(root / split / "masks" / f"{name}.png", mask)
            if name.startswith("bad"):
                (root / split / "images" / f"{name}.png").write_bytes(b"no image")
    return f"folder:root={root},classes=[{','.join(CLASSES)}]"


def test_images_one_pixel_high_are_plotted(scenes_run: segreg.Run, tmp_path: Path) -> None:
    data = folder(tmp_path / "thin", train=["a"], valid=["a"])
    mask = (np.arange(40) > 20).astype(np.uint8)[None]
    for name, pixels in (("images", np.repeat(mask[..., None] * 200, 3, axis=2)), ("masks", mask)):
        save(tmp_path / "thin" / "test" / name / "thin.png", pixels)
    found = evaluate(scenes_run, data=data, metrics="accuracy", out=tmp_path / "e")
    assert found.models[0].worst[0].ground_truth.shape == (1, 40)
    assert (tmp_path / "e" / "worst.png").exists()


def test_with_data_given_neither_loss_nor_tracker_is_needed(scenes_run: segreg.Run, tmp_path: Path) -> None:
    away = copied(scenes_run, tmp_path / "away", ('loss = "cross-entropy"', 'loss = "nowhere/lovasz"'))
    with pytest.raises(segreg.SegregError, match="nowhere"):
        evaluate(away, metrics="accuracy", out=tmp_path / "e")
    found = evaluate(away, data=scenes_run.recipe.data, metrics="accuracy", out=tmp_path / "e")
    assert found.models[0].label == "unet"


def test_the_runs_own_data_are_recognized_however_they_are_written(
    scenes_run: segreg.Run, scenes: Path, tmp_path: Path
) -> None:
    data = f"folder:classes=[{','.join(CLASSES)}],root={scenes}"
    assert data != scenes_run.recipe.data
    found = evaluate(scenes_run, data=data, split="valid", metrics="accuracy", out=tmp_path / "e")
    assert any("chosen by their score on valid" in note for note in found.notes)


def test_names_that_other_data_share_with_the_training_set_are_reported(scenes_run: segreg.Run, tmp_path: Path) -> None:
    data = folder(tmp_path / "other", train=["x"], valid=["y"], test=["new", "train3", "train5", "test0"])
    found = evaluate(scenes_run, data=data, metrics="accuracy", out=tmp_path / "e")
    assert found.notes[1:] == [
        "2 of the images, such as train3, have names that were in train when the model was trained: if they are the "
        "same images, these scores are too optimistic."
    ]


def test_the_same_name_in_several_splits_is_told_apart(scenes_run: segreg.Run, tmp_path: Path) -> None:
    root = tmp_path / "a&b"
    data = folder(root, train=["0", "1"], valid=["0", "bad"], test=["0", "bad"])
    skipping = copied(
        scenes_run,
        tmp_path / "run",
        (scenes_run.recipe.data, data),
        ('on_bad_image = "error"', 'on_bad_image = "skip"'),
    )
    found = evaluate(skipping, split="all", metrics="accuracy", out=tmp_path / "e")
    rows = [(row["split"], row["name"]) for row in table(tmp_path / "e" / "images.csv")]
    assert rows == [("train", "0"), ("train", "1"), ("valid", "0"), ("test", "0")]
    assert any(note.startswith("2 images left out") for note in found.notes)
    # Inside code, Markdown shows an entity unchanged.
    assert f"`{data}`" in (tmp_path / "e" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("error")
def test_there_is_no_warning_of_oddities_that_change_no_pixel(scenes_run: segreg.Run, tmp_path: Path) -> None:
    data = folder(tmp_path / "odd", train=["a"], valid=["a"], test=["a"])
    cut_short = b"Exif\0\0II*\0\x08\0\0\0\x05\0"
    Image.new("RGB", (40, 40)).save(tmp_path / "odd" / "test" / "images" / "a.png", exif=cut_short)
    evaluate(scenes_run, data=data, metrics="accuracy", out=tmp_path / "e")


def test_nothing_is_left_behind_when_a_file_cannot_be_written(scenes_run: segreg.Run, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    (tmp_path / "there").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The tables fit, and a figure does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        for out in ("new", "there"):
            with pytest.raises(RunError, match=r"confusion\.png cannot be written"):
                evaluate(scenes_run, metrics="accuracy", out=tmp_path / out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
    evaluate(scenes_run, metrics="accuracy", out=tmp_path / "there")
    assert {path.name for path in (tmp_path / "there").iterdir()} == FILES


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
    assert "3 images of valid of folder:root=" in out
    assert "chosen by their score on valid" in out
    assert "in tiles of 32" in (directory / "evaluation.md").read_text(encoding="utf-8")
    assert out.splitlines()[-1] == f"written: {Path('evaluations') / directory.name / 'evaluation.md'}"


def test_images_that_were_trained_on_are_reported(scenes_run: segreg.Run, scenes: Path, tmp_path: Path) -> None:
    everything = evaluate(scenes_run, data=scenes_run.recipe.data, split="all", metrics="iou", out=tmp_path / "all")
    assert len(everything.models[0].names) == 16
    assert any("trained on images of train" in note for note in everything.notes)
    copied = tmp_path / "run"
    copied.mkdir()
    for name in ("recipe.toml", "model.safetensors", "splits.csv"):
        (copied / name).write_bytes((scenes_run.path / name).read_bytes())
    listed = (copied / "splits.csv").read_text().replace("test,test3", "train,test3")
    (copied / "splits.csv").write_text(listed)
    leaked = evaluate(copied, metrics="iou", out=tmp_path / "leaked")
    assert any(note.startswith("1 of the images, such as test3, were in train when") for note in leaked.notes)
    unchanged = evaluate(scenes_run, metrics="iou", out=tmp_path / "unchanged")
    assert len(unchanged.notes) == 1


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_a_bad_image_is_handled_as_the_recipe_specifies(
    scenes_run: segreg.Run, scenes: Path, tmp_path: Path, on_bad_image: str
) -> None:
    root, copied = tmp_path / "scenes", tmp_path / "run"
    for source in scenes.rglob("*.png"):
        target = root / source.relative_to(scenes)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (root / "test" / "images" / "test4.png").write_bytes(b"no image")
    for folder in ("images", "masks"):
        (root / "test" / folder / "test0.png").rename(root / "test" / folder / "train0.png")
    copied.mkdir()
    for name in ("model.safetensors", "splits.csv"):
        (copied / name).write_bytes((scenes_run.path / name).read_bytes())
    recipe = (scenes_run.path / "recipe.toml").read_text().replace(str(scenes), str(root))
    (copied / "recipe.toml").write_text(recipe.replace('on_bad_image = "error"', f'on_bad_image = "{on_bad_image}"'))
    if on_bad_image == "error":
        with pytest.raises(DataError, match=r"test4\.png is not an image"):
            evaluate(copied, out=tmp_path / "new" / "evaluation")
        assert not (tmp_path / "new" / "evaluation").exists()
    else:
        found = evaluate(copied, metrics="iou", out=tmp_path / "evaluation")
        assert len(found.models[0].names) == 4
        # That train has another image named train0 is not reported.
        assert len(found.notes) == 2
        assert re.match(r"1 image left out; the first: .*test4\.png", found.notes[1])


def test_existing_files_are_not_overwritten(run: segreg.Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("iou")
    with pytest.raises(RunError, match="already exists and is not an empty directory: choose another --out"):
        evaluate(run, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "--split", "tset"], "no images in split 'tset' (did you mean 'test'?); available: train, valid, "
         "test, all"),
        (["RUN", "--data", "SCENES"], "the dataset has 3 classes (grass, sea, sun), but"),
        (["RUN", "RUN", "RUN"], "3 runs were given: evaluate one, or compare two"),
        (["nowhere"], "nowhere does not exist"),
        (["RUN", "--metrics", "none"], "metrics is 'none': name one or more"),
        (["RUN", "--metrics", "iuo"], "unknown metric 'iuo' (did you mean 'iou'?)"),
        (["RUN", "SCENES_RUN"], "choose one dataset with --data"),
        (["ALONE"], "does not name a dataset: choose one with --data"),
        (["RUN", "--tile", "big"], "invalid int value: 'big'"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_one_line_error(
    run: segreg.Run, scenes_run: segreg.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run.path / "model.safetensors").read_bytes())
    stands_for = {"RUN": run.path, "SCENES": scenes_run.recipe.data, "SCENES_RUN": scenes_run.path, "ALONE": alone}
    status, out, err = call("evaluate", *(str(stands_for.get(word, word)) for word in words))
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "evaluations").exists()


def test_classes_in_another_order_are_refused(scenes_run: segreg.Run, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 3 classes \(sea, grass, sun\)"):
        evaluate(scenes_run, data=f"folder:root={scenes},classes=[sea,grass,sun]", out=tmp_path / "e")


def test_zero_or_three_runs_are_refused() -> None:
    with pytest.raises(OptionError, match="0 runs were given"):
        segreg.evaluate()


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("side", [9_500, 22_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_with_tiles_images_and_masks_may_be_as_large_as_for_predict(
    run: segreg.Run, tmp_path: Path, part: str, side: int
) -> None:
    for name in "abcde":
        save(tmp_path / "data" / "images" / f"{name}.png", colours(40, 50))
        save(tmp_path / "data" / "masks" / f"{name}.png", blob(40, 50))
    large = tmp_path / "data" / part / "c.png"
    # It declares this size and ends before the first row: the limit is checked before that is noticed.
    large.write_bytes(png(side, side))
    words = [
        "evaluate",
        str(run.path),
        "--data",
        f"folder:root={tmp_path / 'data'}",
        "--split",
        "all",
        "--device",
        "cpu",
    ]
    assert call(*words, "--out", str(tmp_path / "out"))[2].endswith(
        f"segreg: {large} has more than 89,478,485 pixels: cut it into tiles\n"
    )
    tiled = call(*words, "--out", str(tmp_path / "out"), "--tile", "64")[2]
    assert f"segreg: {large} cannot be read (image file is truncated" in tiled
    with pytest.raises(DataError, match=r"c\.png cannot be read \(image file is truncated"):
        segreg.load(run, device="cpu", tile=64).predict(large)
