"""What the registry costs: importing segreg, listing with more plugins than anyone has, and building by name."""

from typing import Any

import pytest
import torch

import segreg
from segreg.builtins.architectures.unet import UNet
from tests.end_to_end.environment import ROOT, Environment, build_wheel
from tests.end_to_end.many import write_many


@pytest.fixture(scope="module", params=[0, 100], ids="{} plugins".format)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with some plugins."""
    folder = tmp_path_factory.mktemp("environment")
    made = Environment.create(folder)
    made.install(build_wheel(ROOT, "segreg", folder / "wheel"), *write_many(folder, request.param))
    return made


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]], ids=" ".join)
def test_command(environment: Environment, words: list[str], benchmark: Any) -> None:
    done = benchmark.pedantic(environment.segreg, words, rounds=5, warmup_rounds=1)
    assert done.returncode == 0
    assert "unet" in done.stdout


@pytest.mark.benchmark(group="a Python process")
@pytest.mark.parametrize("code", ["pass", "import segreg"])
def test_import(environment: Environment, code: str, benchmark: Any) -> None:
    done = benchmark.pedantic(environment.python, ["-c", code], rounds=15, warmup_rounds=1)
    assert done.returncode == 0


@pytest.mark.benchmark(group="unet of width 4 without memory")
@pytest.mark.parametrize("how", ["by name", "by class"])
def test_build(how: str, benchmark: Any) -> None:
    with torch.device("meta"):
        benchmark((lambda: segreg.build("unet", width=4)) if how == "by name" else (lambda: UNet(width=4)))
