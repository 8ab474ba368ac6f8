"""A hundred distributions: those that are not used cost no time."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.many import COMPONENTS, write_many

COUNT = 100

PROGRAM = """
import json, sys
import segreg

def imported():
    return sorted(name for name in sys.modules if name.startswith("plugin_"))

segreg.build("unet:width=2")
segreg.loss("bce+dice")
none = imported()
segreg.build("plugin-7/model-1")
json.dump([none, imported()], sys.stdout)
"""


@pytest.fixture(scope="module")
def many(segreg_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with all of them."""
    folder = tmp_path_factory.mktemp("many")
    environment = Environment.create(folder)
    environment.install(segreg_wheel, *write_many(folder, COUNT))
    return environment


def test_all_are_listed(many: Environment) -> None:
    done = many.segreg("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    names = [each["name"] for each in json.loads(done.stdout) if each["plugin"] != "segreg"]
    plugins = sorted(f"plugin-{number}" for number in range(COUNT))
    assert names == [f"{plugin}/model-{number}" for plugin in plugins for number in range(COMPONENTS)]


def test_a_build_imports_only_the_plugin_that_it_names(many: Environment) -> None:
    done = many.python("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["plugin_7", "plugin_7.hooks", "plugin_7.models"]]
