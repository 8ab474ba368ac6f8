"""The error for a run whose plugin is no longer installed names what to install."""

import re
import sys
from pathlib import Path

import pytest
import torch

import segreg
from segreg import PluginError, Run
from segreg.registry import registry
from segreg.runs.tensor_file import write_tensors
from tests.trial import PLUGIN, call


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the trial plugin, which is then uninstalled."""
    made = segreg.fit("trial/dot", loss="trial/fragile", data="trial/bands", size=8, epochs=1, out=tmp_path, quiet=True)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(PLUGIN)])
    registry.cache_clear()
    yield Run(made.path)
    registry.cache_clear()


def test_the_model_names_its_plugin(run: Run) -> None:
    with pytest.raises(PluginError) as caught:
        run.model()
    assert str(caught.value) == (
        f"{run.path / 'model.safetensors'} needs 'trial/dot', which is not installed; it was saved with "
        "segreg-trial 1.0: if you know and trust that, pip install segreg-trial==1.0"
    )


def test_the_recipe_names_its_plugin(run: Run) -> None:
    status, _, err = call("train", "--resume", str(run.path))
    assert status == 2
    assert err == (
        f"segreg: {run.path / 'recipe.toml'} needs 'trial/dot', which is not installed; it was saved with "
        "segreg-trial 1.0: if you know and trust that, pip install segreg-trial==1.0\n"
    )


@pytest.mark.parametrize("origin", ["evil; reboot 1.0", "--option=x 1.0", "two\nlines 1.0", "alone", "", "a $(b)"])
def test_text_from_a_file_does_not_become_a_command(tmp_path: Path, origin: str) -> None:
    about = {
        "segreg": "0.1",
        "architecture": "theirs/net",
        "options": {"in_channels": 3, "num_classes": 1},
        "plugin": origin,
        "classes": ["lesion"],
        "size": [32, 32],
        "normalize": "image",
    }
    write_tensors(tmp_path / "model.safetensors", {"weight": torch.zeros(1)}, about)
    with pytest.raises(
        PluginError, match=re.escape("needs 'theirs/net', which is not installed, and does not name the plugin")
    ):
        Run(tmp_path).model()
