"""How long `segreg list` takes as a process of its own. The target is 0.5 s with a hundred plugins."""

from typing import Any

import pytest

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
