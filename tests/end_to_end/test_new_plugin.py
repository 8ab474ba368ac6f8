"""`segreg new-plugin`: what it writes can be installed, is listed, conforms and passes its own tests."""

from pathlib import Path

from segreg.testing import plugins
from segreg.testing.checks import CHECKS
from tests.end_to_end.environment import Environment, build_wheel


def test_from_a_name_to_a_plugin_that_conforms(segreg_wheel: Path, tmp_path: Path) -> None:
    environment = Environment.create(tmp_path)
    environment.install(segreg_wheel)
    done = environment.segreg("new-plugin", "Big_Nets")
    assert (done.returncode, done.stderr) == (0, "")
    project = tmp_path / "segreg-big-nets"
    assert str(Path("segreg-big-nets") / "segreg_big_nets" / "plugin.py") in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == (
        "next: pip install -e segreg-big-nets, then `segreg list` shows it and `segreg check big-nets` checks it"
    )
    written = [path for path in project.rglob("*") if path.is_file()]
    assert all("example" not in path.name + path.read_text() for path in written)

    environment.install(build_wheel(project, "segreg_big_nets", tmp_path / "wheel"))
    listed = environment.segreg("list").stdout
    assert "big-nets/dilated-net" in listed
    assert "big-nets/hinge" in listed
    assert "big-nets/haze" in listed

    done = environment.segreg("check", "big-nets", "--slow", "-q")
    assert done.returncode == 0, done.stdout
    count = sum(map(len, (plugins.CHECKS, CHECKS["architecture"], CHECKS["loss"], CHECKS["augmentation"])))
    assert done.stdout.splitlines()[-1] == f"{count} checks: {count} passed"

    slow = sum(check.slow for check in CHECKS["architecture"])
    done = environment.python("-m", "pytest", "-p", "no:cacheprovider", str(project))
    assert done.returncode == 0, done.stdout
    assert f" {count - slow} passed" in done.stdout
