"""The public API: what can be imported from segreg, and what that costs."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import segreg


def seen_by_type_checkers() -> dict[str, str]:
    """The names that type checkers see in the package, each with its module."""
    tree = ast.parse(Path(segreg.__file__).read_text(encoding="utf-8"))
    [block] = [each for each in tree.body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"]
    return {name.name: each.module for each in block.body for name in each.names}


def test_what_can_be_imported_is_what_type_checkers_see() -> None:
    assert segreg.__all__ == sorted(seen_by_type_checkers())
    for name, module in seen_by_type_checkers().items():
        assert getattr(segreg, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", segreg.__all__)
def test_a_public_name_exists_and_is_documented(name: str) -> None:
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
