"""Parts of a model that are frozen, or trained at another learning rate."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import segreg
from segreg.errors import OptionError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import call, interrupt, without_times

SETTINGS: dict[str, Any] = {
    "model": "unet:width=4,depth=1,dropout=0.5",
    "data": "lesions:size=32,train=6,valid=2,test=2",
    "size": 32,
    "epochs": 2,
    "batch": 2,
    "device": "cpu",
    "quiet": True,
}


def weights(run: Run, which: str = "model") -> dict[str, Tensor]:
    saved = load_checkpoint(run) or {}
    found = saved["model"] if which == "model" else saved["ema"]["weights"]
    return {name.removeprefix("model."): tensor for name, tensor in found.items()}


def initial(model: str, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return segreg.build(model).state_dict()


def test_a_frozen_part_keeps_weights_and_statistics(tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, freeze=["encoder", "head.bias"], ema=True, clip_grad=1.0, out=tmp_path / "run")
    before = initial(SETTINGS["model"])
    for which in ("model", "ema"):
        after = weights(run, which)
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        frozen = {name for name in before if name.startswith("encoder.") or name == "head.bias"}
        assert any("running_mean" in name for name in frozen)
        assert not changed & frozen
        assert {"head.weight", "decoder.0.0.0.weight"} <= changed
        assert any("running_mean" in name for name in changed)
    assert run.results["parameters"] == sum(each.numel() for each in segreg.build(SETTINGS["model"]).parameters())


def test_dropout_in_a_frozen_part_is_off(tmp_path: Path) -> None:
    on, off = (
        segreg.fit(**{**SETTINGS, "model": model}, freeze="encoder", augment="none", out=tmp_path / str(number))
        for number, model in enumerate(("trial/dropping:p=0.9", "trial/dropping:p=0"))
    )
    assert without_times(on.history) == without_times(off.history)
    trained = segreg.fit(**{**SETTINGS, "model": "trial/dropping:p=0.9"}, augment="none", out=tmp_path / "trained")
    assert without_times(trained.history) != without_times(off.history)


def test_a_frozen_run_resumes_exactly(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**SETTINGS, "loss": "trial/fragile", "freeze": "encoder", "lr_scale": "decoder=0.1"}
    unbroken = segreg.fit(**settings, out=tmp_path / "unbroken")
    broken = interrupt(parts, monkeypatch, 4, **settings, checkpoint_every=1, out=tmp_path / "broken")
    assert (load_checkpoint(broken) or {})["epoch"]["step"] == 1
    resumed = resume(broken.path, quiet=True)
    assert without_times(resumed.history) == without_times(unbroken.history)
    mine, theirs = weights(resumed), weights(unbroken)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_scaled_learning_rates_are_those_of_the_optimizers_groups(tmp_path: Path) -> None:
    """One step of SGD without momentum moves weights in proportion to their rate; the longest prefix counts."""
    one = {**SETTINGS, "model": "unet:width=4,depth=1", "optimizer": "sgd:lr=0.1,momentum=0,weight_decay=0"}
    one |= {"schedule": "constant", "epochs": 1, "batch": 6, "precision": "fp32"}
    plain = weights(segreg.fit(**one, out=tmp_path / "plain"))
    scaled = weights(segreg.fit(**one, lr_scale="encoder=0.5 encoder.1=0.25 head.bias=2", out=tmp_path / "scaled"))
    before = initial(one["model"])
    seen = set()
    for name, parameter in segreg.build(one["model"]).named_parameters():
        factors = {"encoder.1": 0.25, "encoder": 0.5, "head.bias": 2.0}
        factor = next((factors[prefix] for prefix in factors if name.startswith(prefix)), 1.0)
        seen.add(factor)
        step, reference = scaled[name] - before[name], plain[name] - before[name]
        torch.testing.assert_close(step, factor * reference, rtol=1e-4, atol=1e-7)
        assert parameter.shape == step.shape
    assert seen == {0.25, 0.5, 1.0, 2.0}


def test_the_rate_in_the_history_is_the_unscaled_one(tmp_path: Path) -> None:
    settings = {**SETTINGS, "schedule": "constant", "lr": 0.01}
    run = segreg.fit(**settings, lr_scale="encoder=0.1", out=tmp_path / "run")
    assert [row["lr"] for row in run.history] == [0.01, 0.01]


TRAIN = ("train", "unet:width=4,depth=1", "--data", "lesions:train=4,valid=2,test=2", "--size", "32", "--device", "cpu")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--freeze encodr",
            "freeze is 'encodr', which is not a part of unet:width=4,depth=1 (did you mean 'encoder'?); ",
        ),
        ("--freeze enc", "freeze is 'enc', which is not a part of"),
        ("--freeze encoder.", "did you mean 'encoder'?"),
        ("--freeze encoder.0.0.conv2", "available: encoder, upsamples, decoder, head, and parts of these"),
        ("--freeze pools", "freeze is 'pools', which is not a part of"),
        ("--freeze encoder upsamples decoder head", "which leaves nothing of unet:width=4,depth=1 to train"),
        ("--lr-scale enocder=0.1", "lr_scale is 'enocder', which is not a part of"),
        ("--lr-scale encoder", "lr_scale is 'encoder': expected PREFIX=FACTOR, such as encoder=0.1"),
        ("--lr-scale encoder=0", "lr_scale is 'encoder=0': expected PREFIX=FACTOR"),
        ("--lr-scale encoder=nan", "with a finite factor above 0"),
        ("--lr-scale =0.1", "lr_scale is '=0.1': expected"),
        ("--lr-scale encoder=0.1 encoder=0.2", "lr_scale has two factors for 'encoder'"),
        ("--freeze encoder --lr-scale encoder.0=0.1", "lr_scale is 'encoder.0', all of which is frozen"),
    ],
)
def test_a_part_that_is_not_there_is_one_line_before_any_image_is_read(words: str, said: str, tmp_path: Path) -> None:
    status, out, err = call(*TRAIN, *words.split(), "--out", str(tmp_path / "run"))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert said in err
    assert not (tmp_path / "run").exists()


def test_a_study_names_every_model_without_the_part(tmp_path: Path) -> None:
    grid = ["--models", "unet:width=4,depth=1", "segnet-basic:width=4", "trial/dot", "--losses", "bce", "dice"]
    words = ["--data", "lesions:train=4,valid=2,test=2", "--size", "32", "--out", str(tmp_path / "study")]
    status, _, err = call("compare", *grid, *words, "--freeze", "upsamples")
    assert status == 2
    first, *lines = err.splitlines()
    assert first == "segreg: 2 models do not have the parts that are named"
    assert [re.search(r"a part of ([^ ;(]+)", line)[1] for line in lines] == ["segnet-basic:width=4", "trial/dot"]
    assert not (tmp_path / "study").exists()


def test_frozen_random_weights_are_said(tmp_path: Path) -> None:
    status, _, err = call(*TRAIN, "--epochs", "1", "-q", "--freeze", "head.weight", "--out", str(tmp_path / "run"))
    assert status == 0
    assert "freeze keeps 1 tensor at random values, such as head.weight: begin with trained ones" in err


def test_what_is_frozen_cannot_change_on_resume(tmp_path: Path) -> None:
    run = segreg.fit(**SETTINGS, freeze="encoder", out=tmp_path / "run")
    with pytest.raises(segreg.RunError, match=r"freeze was encoder and is none: .* with --init .*run") as caught:
        resume(run.path, freeze="none", epochs=3, force=True, quiet=True)
    assert "\n" not in str(caught.value)
    assert resume(run.path, epochs=3, quiet=True).history[-1]["epoch"] == 3


def test_an_optimizer_without_a_learning_rate_cannot_be_scaled(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="lr_scale needs a learning rate to scale: trial/rateless has none"):
        segreg.fit(**SETTINGS, optimizer="trial/rateless", lr_scale="encoder=0.1", out=tmp_path / "run")
