"""segreg and segreg-timm as they are released: what the wheels contain, and the effect of (un)installing them."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.environment import ROOT, Environment, build_wheel

PROGRAM = """
import segreg
model = segreg.build("timm/unet")
print(sum(parameter.numel() for parameter in model.parameters()))
"""


@pytest.fixture(scope="module")
def timm_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of segreg-timm as it is now."""
    return build_wheel(ROOT / "plugins" / "segreg-timm", "segreg_timm", tmp_path_factory.mktemp("timm-wheel"))


def contents(wheel: Path) -> set[str]:
    """The files in a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sources(package: Path) -> set[str]:
    """The files of a package in the checkout."""
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {path.relative_to(package.parent).as_posix() for path in files}


def test_the_wheel_of_segreg_holds_its_package_and_nothing_else(segreg_wheel: Path) -> None:
    found = contents(segreg_wheel)
    assert found == sources(ROOT / "segreg")
    assert {"segreg/py.typed", "segreg/studies/quick.toml", "segreg/studies/report.html"} < found


def test_the_wheel_of_segreg_timm_holds_its_package_and_nothing_else(timm_wheel: Path) -> None:
    assert contents(timm_wheel) == sources(ROOT / "plugins" / "segreg-timm" / "segreg_timm")


def listed(environment: Environment) -> dict[str, str]:
    """The components in the environment, and the distribution that provides each."""
    done = environment.segreg("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return {f"{each['kind']} {each['name']}": each["plugin"] for each in json.loads(done.stdout)}


def test_what_is_installed_can_be_used_and_uninstalled(segreg_wheel: Path, timm_wheel: Path, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path)
    empty = environment.files()

    environment.install(segreg_wheel)
    alone, own = environment.files(), listed(environment)
    assert set(own.values()) == {"segreg"}

    environment.install(timm_wheel)
    added = {name: plugin for name, plugin in listed(environment).items() if name not in own}
    assert added["architecture timm/unet"] == "segreg-timm"
    assert set(added.values()) == {"segreg-timm"}
    assert all(name.split()[1].startswith("timm/") for name in added)
    done = environment.python("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000

    environment.uninstall("segreg-timm")
    assert listed(environment) == own
    assert environment.files() == alone
    done = environment.segreg("show", "timm/unet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("segreg: unknown component 'timm/unet'")

    environment.uninstall("segreg")
    assert environment.files() == empty
    assert "No module named segreg" in environment.python("-m", "segreg", "list").stderr
