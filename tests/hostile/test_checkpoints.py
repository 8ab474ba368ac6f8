"""Checkpoints from untrusted sources, and damaged ones: checked as a whole before any of it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from segreg.errors import RunError, SegregError
from segreg.runs.run import Run
from segreg.training.checkpoint import load_checkpoint
from segreg.training.fit import resume
from tests.trial import interrupt

SETTINGS: dict[str, Any] = {
    "loss": "trial/fragile",
    "metrics": ["iou", "trial/mistakes"],
    "data": "trial/bands:train=6,valid=2",
    "size": 8,
    "epochs": 3,
    "batch": 2,
    "ema": True,
    "device": "cpu",
    "quiet": True,
    "checkpoint_every": 1,
}


@pytest.fixture
def stopped(tmp_path: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that stopped in its second epoch."""
    return interrupt(parts, monkeypatch, 5, "trial/dot", **SETTINGS, out=tmp_path / "run")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in containers in containers, without those of long lists."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, (*path, key))]
    if isinstance(value, list | tuple) and len(value) < 100:
        return [leaf for key, each in enumerate(value) for leaf in leaves(each, (*path, key))]
    return [path]


def replaced(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Return a copy in which the value at a path is changed."""
    if not path:
        return change(value)
    key, *rest = path
    if isinstance(value, tuple):
        return tuple(replaced(each, tuple(rest), change) if n == key else each for n, each in enumerate(value))
    copied = value.copy()
    copied[key] = replaced(value[key], tuple(rest), change)
    return copied


def larger(value: Any) -> Any:
    return torch.zeros(*value.shape, 1000, dtype=value.dtype) if isinstance(value, torch.Tensor) else [value]


def smaller(value: Any) -> Any:
    return value.flatten()[:0] if isinstance(value, torch.Tensor) else None if value is not None else {}


def other_type(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(torch.int8 if value.dtype != torch.int8 else torch.int16)
    return "text" if not isinstance(value, str) else 3


def sparse(value: Any) -> Any:
    return value.to_sparse() if isinstance(value, torch.Tensor) and value.ndim else [[[]]]


def scalar(value: Any) -> Any:
    return torch.zeros((), dtype=torch.float64) if isinstance(value, torch.Tensor) else torch.zeros(3)


# Not looked at: what the recipe decides, and the parts of the version that wrote the checkpoint.
NOT_READ = ("param_groups", "provenance")


@pytest.mark.parametrize("change", [larger, smaller, other_type, sparse, scalar])
def test_every_value_of_another_form_is_refused_in_one_line(stopped: Run, change: Callable[[Any], Any]) -> None:
    sound = load_checkpoint(stopped) or {}
    paths = [path for path in leaves(sound) if not set(NOT_READ) & set(path)]
    assert len(paths) > 40
    for path in paths:
        torch.save(replaced(sound, path, change), stopped.path / "checkpoint" / "checkpoint.pt")
        with pytest.raises(RunError, match=r"does not fit this model and recipe|cannot be read") as caught:
            resume(stopped.path, quiet=True)
        assert "\n" not in str(caught.value), path
    torch.save(sound, stopped.path / "checkpoint" / "checkpoint.pt")
    assert resume(stopped.path, quiet=True).finished


@pytest.mark.parametrize("name", ["model", "best_weights"])
def test_weights_that_are_not_finite_are_refused(stopped: Run, name: str) -> None:
    saved = load_checkpoint(stopped) or {}
    for key, tensor in saved[name].items():
        if tensor.is_floating_point():
            changed = tensor.clone()
            changed.view(-1)[-1] = float("nan")
            torch.save({**saved, name: {**saved[name], key: changed}}, stopped.path / "checkpoint" / "checkpoint.pt")
            with pytest.raises(RunError, match="are not finite"):
                resume(stopped.path, quiet=True)


@pytest.mark.parametrize(
    "change",
    [
        {"best_epoch": 7},
        {"best_epoch": -1},
        {"history": []},
        {"history": [{"epoch": 2}]},
        {"history": "text"},
        {"history": [3]},
        {"optimizer": {"state": {5: {}}, "param_groups": []}},
        {"optimizer": {"state": {"0": {}}, "param_groups": []}},
        {"optimizer": 3},
        {"model": {}},
        {"ema": {"steps": 1}},
        {"epoch": {}},
        {"provenance": 3},
        {"provenance": {"epochs": "many"}},
    ],
    ids=str,
)
def test_contents_that_contradict_each_other_are_refused(stopped: Run, change: dict[str, Any]) -> None:
    torch.save({**(load_checkpoint(stopped) or {}), **change}, stopped.path / "checkpoint" / "checkpoint.pt")
    with pytest.raises(SegregError) as caught:
        resume(stopped.path, quiet=True)
    assert "\n" not in str(caught.value)


def test_moments_laid_out_otherwise_give_the_same_run(stopped: Run, tmp_path: Path) -> None:
    """A fused optimizer reads memory as it comes."""
    saved = load_checkpoint(stopped) or {}

    def transposed(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {
            name: value.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) if value.ndim == 4 else value
            for name, value in values.items()
        }

    saved["optimizer"]["state"] = {index: transposed(values) for index, values in saved["optimizer"]["state"].items()}
    torch.save(saved, stopped.path / "checkpoint" / "checkpoint.pt")
    assert resume(stopped.path, quiet=True).finished


@pytest.mark.parametrize("version", ["history", "provenance"])
def test_a_checkpoint_of_an_earlier_version_is_refused_in_one_line(stopped: Run, version: str) -> None:
    saved = load_checkpoint(stopped) or {}
    saved[f"earlier_{version}"] = saved.pop(version)
    torch.save(saved, stopped.path / "checkpoint" / "checkpoint.pt")
    with pytest.raises(RunError, match="does not fit this model and recipe"):
        resume(stopped.path, quiet=True)
