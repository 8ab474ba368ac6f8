"""The public face: what can be imported from segreg, and what that costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import segreg

EXPORTS = [
    "Architecture",
    "DataError",
    "Dataset",
    "Evaluation",
    "Exported",
    "ExpressionError",
    "Loss",
    "Metric",
    "OptionError",
    "PluginError",
    "Predictor",
    "Recipe",
    "Registry",
    "Run",
    "RunError",
    "SegregError",
    "Study",
    "Tracker",
    "TrainingError",
    "UnknownNameError",
    "build",
    "compare",
    "components",
    "dataset",
    "describe",
    "evaluate",
    "export",
    "fit",
    "hookimpl",
    "load",
    "loss",
    "metric",
]


def test_these_names_and_no_others_are_public() -> None:
    assert segreg.__all__ == EXPORTS


@pytest.mark.parametrize("name", EXPORTS)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(segreg, name)
    assert getattr(segreg, name) is value
    assert name == "hookimpl" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'segreg' has no attribute 'nothing'"):
        segreg.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from segreg import nothing  # noqa: F401


HEAVY = {"torch", "numpy", "PIL", "kornia", "matplotlib", "safetensors", "cattrs", "docstring_parser"}


@pytest.mark.parametrize(
    "code",
    [
        "",
        "segreg.Registry; segreg.Loss; segreg.hookimpl; segreg.OptionError",
        "assert set(segreg.__all__) <= set(dir(segreg))",
        "assert 'unet' in [entry.key for entry in segreg.components()]",
        "segreg.Registry().find('loss', 'dice')",
    ],
)
def test_names_are_found_without_torch(code: str, tmp_path: Path) -> None:
    script = f"import sys, json, segreg\n{code}\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert HEAVY & set(json.loads(answer.stdout)) == set()


def test_the_factories_take_expressions_and_options() -> None:
    assert sum(parameter.numel() for parameter in segreg.build("unet:width=2", depth=1).parameters()) == 483
    assert segreg.loss("dice:smooth=2").smooth == segreg.loss("dice", smooth="2").smooth == 2
    assert segreg.metric("iou:average=dataset", num_classes=3).average == "dataset"
    assert list(segreg.dataset("lesions:size=64", train=2, valid=1, test=1).splits) == ["train", "valid", "test"]
