"""A whole run, from names to files. Its reported values are recomputed from the files alone."""

import contextlib
import csv
import io
import json
import math
import re
import shutil
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docstring_parser
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import segreg
from segreg.errors import DataError, OptionError, RunError, TrainingError
from segreg.recipe import make_recipe, recipe_options
from segreg.registry import registry
from segreg.runs.run import Run
from segreg.runs.tensor_file import write_tensors
from segreg.support.files import new_directory
from segreg.training.fit import resume
from tests.trial import without_times

DATA = "trial/bands:train=16,valid=6,test=3"
SETTINGS: dict[str, Any] = {
    "loss": "trial/fragile",
    "metrics": ["iou", "dice:average=dataset", "trial/mistakes"],
    "data": DATA,
    "size": (12, 8),
    "epochs": 6,
    "batch": 4,
    "lr": 0.1,
    "ema": True,
    "device": "cpu",
}
QUICK: dict[str, Any] = {"data": "trial/bands:train=4,valid=2", "size": 8, "epochs": 1, "device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shown: io.StringIO) -> Run:
    with contextlib.redirect_stderr(shown):
        return segreg.fit("trial/dot", **SETTINGS, out=tmp_path_factory.mktemp("run") / "run")


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def column(run: Run, name: str) -> list[float]:
    return [row[name] for row in run.history]


def samples_of(split: str) -> tuple[torch.Tensor, np.ndarray]:
    """The images as the model takes them, and the masks."""
    images, masks = zip(*segreg.dataset(DATA).splits[split], strict=True)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, np.stack(masks)


def test_a_finished_run_has_the_documented_files(run: Run) -> None:
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint",
        "curves.png",
        "history.csv",
        "model.safetensors",
        "recipe.toml",
        "results.json",
        "samples.png",
        "samples.safetensors",
        "scores.safetensors",
        "splits.csv",
        "worst",
    ]
    assert run.finished


def test_the_recipe_has_the_settings_and_what_the_names_resolved_to(run: Run) -> None:
    written = tomllib.loads((run.path / "recipe.toml").read_text(encoding="utf-8"))
    assert Run(run.path).recipe == make_recipe(model="trial/dot", **SETTINGS)
    components = {(each["kind"], each["name"]): each for each in written["component"]}
    assert [kind for kind, _ in components] == [
        *("architecture", "loss", "metric", "metric", "metric", "dataset"),
        *("augmentation" for _ in run.recipe.augment),
        *("optimizer", "schedule"),
    ]
    dot = components["architecture", "trial/dot"]
    assert (dot["plugin"], dot["version"]) == ("segreg-trial", "1.0")
    assert dot["options"] == {"in_channels": 3, "num_classes": 1, "note": ""}
    assert components["metric", "dice"]["version"] == version("segreg")
    assert components["metric", "dice"]["options"] == {"num_classes": 1, "average": "dataset"}
    assert components["dataset", "trial/bands"]["options"]["classes"] == ["band"]
    assert "root" not in components["dataset", "trial/bands"]["options"]
    assert written["platform"]["torch"] == torch.__version__
    assert written["platform"]["device"].startswith("cpu")


def test_the_history_has_one_row_per_epoch(run: Run) -> None:
    rows = read_rows(run.path / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    metrics = ["loss", "iou", "dice:average=dataset", "trial/mistakes"]
    assert list(rows[0]) == [
        "epoch",
        *(f"train_{name}" for name in metrics),
        *(f"valid_{name}" for name in metrics),
        *("lr", "seconds", "images_per_second"),
    ]
    assert all(math.isfinite(float(cell)) for row in rows for cell in row.values())


def test_training_improves_on_an_easy_task(run: Run) -> None:
    for split in ("train", "valid"):
        assert column(run, f"{split}_loss")[-1] < 0.8 * column(run, f"{split}_loss")[0]
    assert max(column(run, "valid_iou")) > 0.8


def test_the_learning_rate_rises_and_falls(run: Run) -> None:
    steps, peak = 24, 0.1 * 24 - 1

    def one_cycle(step: int) -> float:
        if step < peak:
            return 0.1 * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / peak)) / 2)
        return 0.1 * (1 + math.cos(math.pi * (step - peak) / (steps - 1 - peak))) / 2

    assert column(run, "lr") == pytest.approx([one_cycle(step) for step in range(0, 24, 4)], rel=1e-3)


def test_the_saved_weights_are_the_best_on_valid_by_the_first_metric(run: Run) -> None:
    best = max(column(run, "valid_iou"))
    assert run.results["metrics"]["valid"]["iou"] == pytest.approx(best, abs=1e-5)
    assert column(run, "valid_iou")[run.results["epoch"] - 1] == best


def test_the_model_loaded_from_its_file_alone_has_the_reported_metrics(run: Run, tmp_path: Path) -> None:
    shutil.copy(run.path / "model.safetensors", tmp_path)
    model = Run(tmp_path).model()
    assert not model.training
    for split in ("train", "valid", "test"):
        images, masks = samples_of(split)
        with torch.no_grad():
            predicted = (model(images)[:, 0] > 0).numpy()
        true = masks == 1
        ious = [(one & other).sum() / (one | other).sum() for one, other in zip(predicted, true, strict=True)]
        reported = run.results["metrics"][split]
        # Precision is the hardware's choice here, and may flip a pixel at the threshold.
        assert reported["iou"] == pytest.approx(np.mean(ious), abs=0.01)
        assert reported["dice:average=dataset"] == pytest.approx(
            2 * (predicted & true).sum() / (predicted.sum() + true.sum()), abs=0.01
        )
        assert reported["trial/mistakes"] == pytest.approx((predicted != true).mean(), abs=0.01)
        assert run.results["per_class"][split]["iou"] == pytest.approx([reported["iou"]])


def test_the_splits_are_written(run: Run) -> None:
    rows = read_rows(run.path / "splits.csv")
    assert [row["split"] for row in rows] == ["train"] * 16 + ["valid"] * 6 + ["test"] * 3
    assert [row["name"] for row in rows][16:22] == [str(number) for number in range(6)]


def test_the_results_are_strict_json_with_the_right_counts(run: Run) -> None:
    text = (run.path / "results.json").read_text(encoding="utf-8")
    results = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert results["parameters"] == 2 * 3 + 3 + 1
    assert results["images"] == {"train": 16, "valid": 6, "test": 3}
    assert results["classes"] == ["band"]
    assert results["seconds"] == pytest.approx(sum(column(run, "seconds")), rel=1e-4)
    assert results["per_class"]["valid"]["trial/mistakes"] == []


@pytest.mark.parametrize("name", ["curves.png", "samples.png"])
def test_the_figures_are_readable_images(run: Run, name: str) -> None:
    with Image.open(run.path / name) as image:
        assert np.asarray(image.convert("L")).std() > 5
        assert min(image.size) > 100


def test_the_samples_are_validation_images_with_predictions(run: Run) -> None:
    images, masks = samples_of("valid")
    assert torch.equal(run.samples["images"], (images[[0, 2, 3, 5]] * 255).round().to(torch.uint8).permute(0, 2, 3, 1))
    assert torch.equal(run.samples["masks"], torch.from_numpy(masks[[0, 2, 3, 5]]))
    assert run.samples["predictions"].shape == (4, 12, 8)
    assert set(run.samples["predictions"].unique().tolist()) <= {0, 1}


def test_without_a_terminal_there_is_one_plain_line_per_epoch(run: Run, shown: io.StringIO) -> None:
    lines = shown.getvalue().splitlines()
    assert "\x1b" not in shown.getvalue()
    assert lines[0].startswith("trial/dot · trial/fragile on cpu (")
    assert lines[0].endswith(f", into {run.path}")
    assert [bool(re.match(rf"epoch +{epoch}/6 ", line)) for epoch, line in enumerate(lines[1:], 1)] == [True] * 6
    values = column(run, "valid_iou")
    for epoch, line in enumerate(lines[1:]):
        assert f"valid_iou {values[epoch]:.4f}" in line
        assert "images/s" in line
        assert line.endswith("best") == (values[epoch] > max(values[:epoch], default=-1))


def test_an_interrupted_run_is_resumed_to_bit_identical_values(
    run: Run, tmp_path: Path, parts: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # There are 4 steps per epoch: this is in the middle of the third.
    monkeypatch.setattr(parts, "TROUBLE", (10, KeyboardInterrupt()))
    out = tmp_path / "a run"
    with pytest.raises(KeyboardInterrupt):
        segreg.fit("trial/dot", **SETTINGS, out=out)
    broken = Run(out)
    assert not broken.finished
    assert [row["epoch"] for row in broken.history] == [1, 2]
    assert (out / "model.safetensors").exists()
    assert f"interrupted after epoch 2 of 6; resume with: segreg train --resume '{out}'\n" in capsys.readouterr().err

    monkeypatch.setattr(parts, "TROUBLE", None)
    resumed = resume(out)
    assert "resuming after epoch " in capsys.readouterr().err
    assert without_times(resumed.history) == without_times(run.history)
    for name in ("model.safetensors", "scores.safetensors", "samples.safetensors"):
        one, other = load_file(resumed.path / name), load_file(run.path / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert resumed.results["metrics"] == run.results["metrics"]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in run.path.iterdir())


def test_another_seed_gives_other_values(run: Run, tmp_path: Path) -> None:
    other = segreg.fit("trial/dot", **{**SETTINGS, "epochs": 1}, seed=1, out=tmp_path / "run", quiet=True)
    assert other.history[0]["train_loss"] != run.history[0]["train_loss"]


def test_the_seed_determines_the_order_and_the_augmentation_too(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 1, "quiet": True}
    losses = [
        segreg.fit("trial/dot:start=0.1", **settings, seed=seed, out=tmp_path / str(seed)).history[0]["train_loss"]
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_a_finished_run_is_left_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert resume(run.path).path == run.path
    assert capsys.readouterr().err == f"{run.path} is already finished\n"
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_a_metric_of_mistakes_keeps_the_weights_with_the_fewest(tmp_path: Path) -> None:
    settings = {**SETTINGS, "metrics": ["trial/mistakes"], "lr": 1.0, "schedule": "constant", "ema": False}
    made = segreg.fit("trial/dot", **settings, out=tmp_path / "run", quiet=True)
    mistakes = column(made, "valid_trial/mistakes")
    assert min(mistakes) < mistakes[0]
    assert min(mistakes) < max(mistakes[1:])
    assert made.results["metrics"]["valid"]["trial/mistakes"] == pytest.approx(min(mistakes), abs=1e-5)
    assert mistakes[made.results["epoch"] - 1] == min(mistakes)
    assert set(column(made, "lr")) == {1.0}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best_weights(tmp_path: Path) -> None:
    # There are two steps per epoch.
    settings = {**QUICK, "epochs": 3, "batch": 2, "precision": "fp32"}
    with pytest.raises(TrainingError) as error:
        segreg.fit("trial/dot", loss="trial/nan:after=3", **settings, out=tmp_path / "run")
    assert str(error.value) == (
        "the loss was nan in epoch 2, step 2 of 2; kept: the weights of epoch 1 and the checkpoint after epoch 1; "
        "likely causes: too high a learning rate (try one below 0.001), exploding gradients (try --clip-grad 1), "
        "or the loss itself"
    )
    made = Run(tmp_path / "run")
    assert [row["epoch"] for row in made.history] == [1]
    assert made.model()(torch.rand(1, 3, 8, 8)).isfinite().all()
    with pytest.raises(RunError, match="has no results yet: finish it with --resume"):
        print(made.results)


def test_without_one_good_epoch_there_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nan in epoch 1, step 1 of 1; kept: nothing; likely causes: "):
        segreg.fit("trial/dot", loss="trial/nan", **QUICK, out=tmp_path / "run")
    with pytest.raises(RunError, match="is not a model saved by segreg"):
        Run(tmp_path / "run").model()


def test_a_batch_larger_than_the_data_uses_all_of_them_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # With ten steps, where the schedule of torch divides by zero.
    made = segreg.fit("trial/dot", **{**QUICK, "epochs": 10}, batch=1000, lr=0.02, out=tmp_path / "run")
    assert len(made.history) == 10
    assert set(column(made, "lr")) == {0.02}
    expected = "batch 1000 is more than the 4 training images: each step uses the whole training set\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("model", "loss", "data", "size"),
    [
        ("trial/dot", "trial/fragile", "channels=1", 8),
        ("unet:width=2,depth=2", "cross-entropy+dice", "channels=5,classes=[a,b,c],ignored=true", "33x47"),
        ("unet:width=2,depth=1,pool=conv", "bce", "classes=[a,b,c]", (32, 40)),
    ],
)
def test_any_channels_classes_and_sizes_train(tmp_path: Path, model: str, loss: str, data: str, size: Any) -> None:
    settings = {**QUICK, "data": f"{QUICK['data']},{data}", "size": size}
    made = segreg.fit(model, loss=loss, **settings, out=tmp_path / "run")
    images = made.samples["images"].permute(0, 3, 1, 2)
    assert images.shape[2:] == made.recipe.size
    logits = made.model()(images.float() / 255)
    assert logits.shape == (2, len(made.results["classes"]), *made.recipe.size)
    assert math.isfinite(made.history[0]["valid_loss"])
    assert len(made.results["per_class"]["valid"]["iou"]) == len(made.results["classes"])
    if "ignored" in data:
        assert (made.samples["masks"][:, :, 0] == 255).all()


def test_where_every_pixel_is_ignored_there_is_no_value_and_the_run_finishes(tmp_path: Path) -> None:
    settings = {**QUICK, "data": f"{QUICK['data']},ignored_valid=true", "epochs": 2}
    made = segreg.fit("trial/dot", loss="bce", **settings, out=tmp_path / "run")
    assert [math.isnan(row["valid_iou"]) for row in made.history] == [True, True]
    assert made.results["metrics"]["valid"]["iou"] is None
    assert made.results["metrics"]["train"]["iou"] >= 0
    assert made.results["epoch"] == 1


def test_both_precisions_give_nearly_the_same_loss(tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        settings = {**QUICK, "size": 32, "epochs": 3, "precision": precision}
        made = segreg.fit("unet:width=4,depth=1", **settings, lr=0.01, out=tmp_path / precision)
        losses[precision] = made.history[-1]["valid_loss"]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_the_original_protocol_runs(tmp_path: Path) -> None:
    made = segreg.fit("trial/dot", preset="original", **QUICK, out=tmp_path / "run")
    assert made.recipe.augment == ()
    assert made.recipe.batch == 25
    assert tomllib.loads((made.path / "recipe.toml").read_text())["platform"]["bf16"] is False


def test_an_unavailable_device_is_reported_before_any_image_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="device is 'cuda:99'"):
        segreg.fit("unet", data="ph2:root=/nowhere", device="cuda:99", out=tmp_path / "run")
    with pytest.raises(DataError):
        segreg.fit("unet", data="ph2:root=/nowhere", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_out_a_run_gets_its_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe(model="unet:pool=conv", loss="bce+0.5*dice")
    for _ in range(3):
        new_directory("runs", recipe.label).mkdir(parents=True)
    names = [path.name for path in Path("runs").iterdir()]
    assert len(names) == 3
    assert all(re.fullmatch(r"\d{8}-\d{6}-unet-pool-conv-bce-0.5-dice(-\d)?", name) for name in names)


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    for ask in (lambda: resume(tmp_path), lambda: resume(tmp_path / "missing"), lambda: Run(tmp_path).recipe):
        with pytest.raises(RunError, match=r"holds no run: it has no recipe\.toml"):
            ask()
    assert Run(tmp_path).history == []


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TROUBLE", (1, RuntimeError("enough")))
    settings = {**QUICK, "epochs": 2, "loss": "trial/fragile"}
    with pytest.raises(RuntimeError, match="enough"):
        segreg.fit("trial/dot", **settings, out=tmp_path / "run")
    (tmp_path / "run" / "checkpoint" / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"checkpoint\.pt cannot be read"):
        resume(tmp_path / "run")


def test_a_weights_file_that_is_foreign_or_does_not_fit_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"model\.safetensors is not a model saved by segreg"):
        Run(tmp_path).model()
    save_file({"weight": torch.ones(1)}, path)
    with pytest.raises(RunError, match=r"model\.safetensors is not a model saved by segreg"):
        Run(tmp_path).model()
    with safe_open(run.path / "model.safetensors", "pt") as file:
        about = json.loads(file.metadata()["segreg"])
    about["options"]["in_channels"] = 5
    write_tensors(path, load_file(run.path / "model.safetensors"), about)
    with pytest.raises(RunError, match=r"does not fit 'trial/dot' as it is installed here: .*size mismatch") as error:
        Run(tmp_path).model()
    assert "\n" not in str(error.value)


def test_each_component_is_inspected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by the docstrings that are parsed: one per component, and the recipe's own."""
    parsed: list[str] = []
    parse = docstring_parser.parse
    monkeypatch.setattr(docstring_parser, "parse", lambda text, **how: parsed.append(text) or parse(text, **how))
    registry.cache_clear()
    recipe_options.cache_clear()
    run = segreg.fit("trial/dot", loss="bce+dice", metrics="iou trial/mistakes", **QUICK, out=tmp_path / "run")
    assert run.finished
    components = [each for kind in run.recipe.components.values() for each in kind]
    assert len(parsed) == len(components) + 1 == 12
