from pathlib import Path

import pytest

from tests.trial import call


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("My Net!", "my-net"),
        ("segreg-foo", "foo"),
        ("Ünet", "net"),
        ("a--b", "a-b"),
        ("../up", "up"),
        ("!", "my-plugin"),
        ("segreg-", "my-segreg"),
        ("trial!", "my-trial"),
    ],
)
def test_for_an_invalid_name_a_valid_one_is_suggested(
    name: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = call("new-plugin", name)
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err == (
        f"segreg: {name!r} is not a valid plugin name: use lower-case letters and digits, in words joined by -, "
        f"such as {suggestion!r}\n"
    )
    assert call("new-plugin", suggestion)[0] == 0


@pytest.mark.parametrize(("name", "who"), [("segreg", "segreg "), ("trial", "segreg-trial 1.0")])
def test_a_name_that_is_taken_is_refused(name: str, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = call("new-plugin", name)
    assert (status, list(tmp_path.iterdir())) == (2, [])
    assert err.startswith(f"segreg: plugin name {name!r} is taken by {who}")
    assert err.endswith(f"which is installed: try 'my-{name}'\n")


@pytest.mark.parametrize("place", ["segreg-taken", "elsewhere"])
def test_nothing_is_overwritten(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / place).mkdir()
    options = [] if place == "segreg-taken" else ["--out", place]
    status, _, err = call("new-plugin", "taken", *options)
    assert (status, list((tmp_path / place).iterdir())) == (2, [])
    assert err == f"segreg: {place} exists already: choose another --out\n"


@pytest.mark.parametrize("name", ["my-example", "example2", "examples-of-example"])
def test_a_name_with_the_word_of_the_scaffold_in_it_works_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new-plugin", name)[0] == 0
    package = f"segreg_{name.replace('-', '_')}"
    assert (tmp_path / f"segreg-{name}" / package / "plugin.py").exists()
    assert f'target="{package}.haze:Haze"' in (tmp_path / f"segreg-{name}" / package / "plugin.py").read_text()
    assert f'{name} = "{package}.plugin"' in (tmp_path / f"segreg-{name}" / "pyproject.toml").read_text()
