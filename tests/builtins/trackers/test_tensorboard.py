"""What TensorBoard's own reader finds in the folder of a run."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

import segreg
from segreg.errors import PluginError
from segreg.runs.run import Run
from segreg.training.fit import resume

SETTINGS: dict[str, Any] = {
    "loss": "trial/fragile",
    "metrics": ["iou", "trial/mistakes"],
    "data": 'trial/bands:train=6,valid=5,test=2,classes=["sky","road"]',
    "size": (12, 8),
    "epochs": 3,
    "batch": 2,
    "device": "cpu",
    "track": "tensorboard",
    "quiet": True,
}


def read(run: Run) -> EventAccumulator:
    # Without limits: by default it keeps a sample.
    every = dict.fromkeys(("scalars", "images", "tensors"), 0)
    return EventAccumulator(str(run.path / "tensorboard"), size_guidance=every).Reload()


def assert_has_the_history(run: Run) -> None:
    events, history = read(run), run.history
    assert history
    tags = {tag for tag in events.Tags()["scalars"] if not tag.startswith("best/")}
    columns = {
        f"{name.partition('_')[2]}/{split}": name
        for name in history[0]
        for split in ("train", "valid")
        if name.startswith(split)
    }
    columns |= {name: name for name in ("lr", "seconds", "images_per_second")}
    assert tags == set(columns)
    assert len(tags) == 9
    for tag, column in columns.items():
        assert [event.step for event in events.Scalars(tag)] == [row["epoch"] for row in history]
        assert [event.value for event in events.Scalars(tag)] == pytest.approx(
            [row[column] for row in history], rel=1e-5
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return segreg.fit("trial/dot", **SETTINGS, out=tmp_path_factory.mktemp("tensorboard") / "run")


def test_curves_are_the_history(run: Run) -> None:
    assert_has_the_history(run)


def test_the_best_values_are_the_results(run: Run) -> None:
    events = read(run)
    for split, metrics in run.results["metrics"].items():
        for metric, value in metrics.items():
            [event] = events.Scalars(f"best/{metric}/{split}")
            assert (event.step, event.value) == (3, pytest.approx(value, rel=1e-5))


def test_images_are_next_to_ground_truth_and_prediction(run: Run) -> None:
    events, samples = read(run), run.samples
    tags = [f"image, ground truth, prediction/{name}" for name in (0, 1, 3, 4)]
    assert events.Tags()["images"] == tags
    for tag, image, mask in zip(tags, samples["images"], samples["masks"], strict=True):
        [event] = events.Images(tag)
        shown = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        assert shown.shape == (12, 24, 3)
        assert np.array_equal(shown[:, :8], image.numpy())
        # Where the ground truth is one class, the colour laid over the image is one.
        colour = shown[:, 8:16][mask.numpy() == 1] - 0.35 * shown[:, :8][mask.numpy() == 1]
        assert np.ptp(colour, axis=0).max() < 2


def test_settings_and_results_are_logged(run: Run) -> None:
    events = read(run)
    text = {
        tag: events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()
        for tag in ("recipe", "results")
    }
    assert "- loss: `trial/fragile`" in text["recipe"].splitlines()
    assert "- metrics: `iou trial/mistakes`" in text["recipe"].splitlines()
    assert f"- parameters: `{run.results['parameters']}`" in text["results"].splitlines()
    start = metadata.parse_session_start_info_plugin_data(
        events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert start.hparams["loss"].string_value == "trial/fragile"
    assert start.hparams["epochs"].number_value == 3
    experiment = metadata.parse_experiment_plugin_data(
        events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    )
    assert "best/iou/test" in [info.name.tag for info in experiment.metric_infos]


def test_a_resumed_run_has_each_epoch_once(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run, settings = Run(tmp_path / "run"), {**SETTINGS, "checkpoint_every": 3}
    monkeypatch.setattr(parts, "TROUBLE", (5, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        segreg.fit("trial/dot", **settings, out=run.path)
    first = (run.path / "checkpoint" / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(parts, "TROUBLE", (4, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        resume(run.path, quiet=True)
    # What was logged is on disk, although the run was stopped.
    assert len(run.history) == 2
    assert_has_the_history(run)
    # From an older checkpoint, the second epoch is trained and logged again.
    (run.path / "checkpoint" / "checkpoint.pt").write_bytes(first)
    monkeypatch.setattr(parts, "TROUBLE", None)
    resume(run.path, quiet=True)
    assert len(run.history) == 3
    assert_has_the_history(run)
    # Epochs trained without a tracker are logged afterwards too.
    resume(run.path, epochs=4, track="none", quiet=True)
    resume(run.path, epochs=5, track="tensorboard", quiet=True)
    assert len(run.history) == 5
    assert_has_the_history(run)
    assert len(read(run).Images("image, ground truth, prediction/0")) == 1
    # TensorBoard's other reader, in Rust, would also show what was logged at the end of the shorter run.
    assert len(list((run.path / "tensorboard").iterdir())) == 1


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    message = r"^tracker 'tensorboard' needs a package: pip install tensorboard$"
    for make in (
        segreg.fit,
        lambda model, **settings: segreg.compare("quick", models=[model], losses="bce", **settings),
    ):
        settings = {name: value for name, value in SETTINGS.items() if name != "loss"}
        with pytest.raises(PluginError, match=message):
            make("unet", **{**settings, "data": "lesions", "size": 32}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()
    # A run tracked elsewhere is read anyway.
    (tmp_path / "recipe.toml").write_text('[recipe]\ntrack = ["tensorboard"]\n')
    assert Run(tmp_path).recipe.track == ("tensorboard",)
