"""`segreg list` and `segreg plugins`."""

import json
from collections.abc import Iterator

import pytest

import segreg
from segreg.kinds import KINDS
from segreg.registry import registry
from tests.conftest import Site
from tests.trial import call


@pytest.fixture
def broken(site: Site) -> Iterator[None]:
    """A plugin that cannot be imported, next to the one that can."""
    site.install("shaky", "import nothing_of_that_name\n")
    registry.cache_clear()
    yield
    registry.cache_clear()


def listed(*words: str) -> list[str]:
    """The first column of the tables."""
    status, out, err = call("list", *words)
    assert (status, err) == (0, "")
    return [line.split()[0] for line in out.splitlines() if line.strip() and "---" not in line]


def keys(kind: str) -> list[str]:
    return [entry.key for entry in segreg.components(kind)]


def of_trial() -> list[str]:
    return [key for kind in KINDS for key in keys(kind) if key.startswith("trial/")]


def test_everything_is_listed_by_kind() -> None:
    expected = [name for kind in KINDS for name in (kind, *keys(kind))]
    assert listed() == expected
    known = {"unet", "segnet", "trial/dot", "wsr", "iou", "ph2", "trial/bands", "elastic", "sgd", "poly", "tensorboard"}
    assert known < set(expected)


@pytest.mark.parametrize("word", ["loss", "losses", "LOSSES"])
def test_one_kind_can_be_listed_by_its_singular_or_plural(word: str) -> None:
    assert listed(word) == ["loss", *keys("loss")]


def test_a_line_has_the_summary_and_the_plugin() -> None:
    line = next(line for line in call("list")[1].splitlines() if "trial/dot" in line)
    assert "One 1×1 convolution" in line
    assert line.rstrip().endswith("segreg-trial 1.0")


def test_json_has_everything() -> None:
    status, out, err = call("list", "metrics", "--json")
    assert (status, err) == (0, "")
    fields = json.loads(out)
    assert [each["name"] for each in fields] == keys("metric")
    dice = next(each for each in fields if each["name"] == "dice")
    assert (dice["kind"], dice["plugin"], dice["aliases"]) == ("metric", "segreg", ["f1"])


def test_a_broken_plugin_is_reported_and_the_rest_is_listed(broken: None) -> None:
    status, out, err = call("list")
    assert status == 0
    assert "unet" in out
    assert "trial/dot" in out
    assert err.startswith("segreg: plugin 'shaky' of shaky 1.0 cannot be used: ModuleNotFoundError: ")
    assert err.count("\n") == 1
    assert json.loads(call("list", "--json")[1])[0]["name"] == "segnet"


def test_plugins_lists_what_each_provides_and_its_status(broken: None) -> None:
    status, out, err = call("plugins")
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "segreg-trial 1.0" in lines["trial"]
    assert lines["trial"].rstrip().endswith(f" {len(of_trial())} components")
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in lines["shaky"]
    assert "Traceback" not in out


def test_plugins_shows_the_traceback_when_asked(broken: None) -> None:
    out = call("plugins", "--verbose")[1]
    assert "--- shaky 1.0\nTraceback (most recent call last):" in out
    assert "import nothing_of_that_name" in out


def test_plugins_as_json(broken: None) -> None:
    found = {each["namespace"]: each for each in json.loads(call("plugins", "--json")[1])}
    assert found["trial"] == {
        "namespace": "trial",
        "distribution": "segreg-trial",
        "version": "1.0",
        "components": len(of_trial()),
        "disabled": False,
        "problem": None,
    }
    assert found["shaky"]["components"] == 0
    assert found["shaky"]["problem"].startswith("ModuleNotFoundError")
    assert found["segreg"]["components"] > 20


def test_a_disabled_plugin_is_listed_as_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGREG_DISABLE_PLUGINS", "trial")
    registry.cache_clear()
    status, out, err = call("list")
    line = next(line for line in call("plugins")[1].splitlines() if line.strip().startswith("trial"))
    registry.cache_clear()
    assert (status, err) == (0, "")
    assert "trial/" not in out
    assert "disabled by SEGREG_DISABLE_PLUGINS" in line
