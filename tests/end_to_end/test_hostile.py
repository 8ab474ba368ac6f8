"""Distributions that are broken or rude: each loses its own names and affects no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.environment import Environment, write_wheel
from tests.end_to_end.hostile import CASES, VERSION, write

BROKEN = [name for name, case in CASES.items() if case.cause]
# A bare name never resolves to the imposter, the unicode name cannot be written, and of two rivals one is named first.
USED = [name for name in BROKEN if name not in ("imposter", "unicode", "second")]
NAMESPACES = {name: case.namespace.lower() or name for name, case in CASES.items()}
TARGETS = {
    "targets/no-module": "'module_that_is_not_there:Model': ModuleNotFoundError: No module named",
    "targets/no-class": "'targets:Missing': AttributeError: module 'targets' has no attribute 'Missing'",
    "targets/panics": "'base_exception:Model': Panic: called `unwrap()` on a `None`",
    "targets/exits": "'exit:Model': SystemExit: bye",
}

# One model is built before any plugin other than segreg's own is loaded, the others after all were.
PROGRAM = """
import json, sys
import segreg, torch

def shape(name):
    return list(segreg.build(name, width=2).eval()(torch.zeros(1, 3, 32, 32)).shape)

def message(name):
    try:
        segreg.build(name)
    except segreg.PluginError as error:
        return str(error)

*names, modules = sys.argv[1:]
first = shape("unet")
imported = sorted(set(modules.split(",")) & sys.modules.keys())
segreg.components()
shapes = [shape(name) for name in ("unet", "prints/model", "targets/model")]
json.dump([first, imported, shapes, {name: message(name) for name in names}], sys.stdout)
"""


@pytest.fixture(scope="module")
def plain(segreg_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with nothing but segreg."""
    environment = Environment.create(tmp_path_factory.mktemp("plain"))
    environment.install(segreg_wheel)
    return environment


@pytest.fixture(scope="module")
def crowded(segreg_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with all the hostile distributions."""
    folder = tmp_path_factory.mktemp("crowded")
    environment = Environment.create(folder)
    environment.install(segreg_wheel, *write(folder))
    return environment


def output(environment: Environment, *words: str, **variables: str) -> tuple[str, str]:
    """The standard output and standard error of a command that must succeed."""
    done = environment.segreg(*words, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def components(environment: Environment, **variables: str) -> list[Any]:
    """What `segreg list --json` prints."""
    listed: list[Any] = json.loads(output(environment, "list", "--json", **variables)[0])
    return listed


@pytest.fixture(scope="module")
def own(plain: Environment) -> list[Any]:
    """The components where nothing but segreg is installed."""
    return components(plain)


@pytest.fixture(scope="module")
def warnings(crowded: Environment) -> list[str]:
    """The warnings of `segreg list` with all of them installed."""
    return output(crowded, "list")[1].splitlines()


@pytest.fixture(scope="module")
def rows(crowded: Environment) -> list[str]:
    """The table of `segreg plugins` with all of them installed."""
    return [" ".join(line.split()) for line in output(crowded, "plugins")[0].splitlines()]


@pytest.fixture(scope="module")
def tracebacks(crowded: Environment) -> dict[str, str]:
    """What `segreg plugins -v` adds to that for each distribution."""
    sections = output(crowded, "plugins", "-v")[0].split("\n--- ")[1:]
    return dict(section.split("\n", maxsplit=1) for section in sections)


@pytest.fixture(scope="module")
def program(crowded: Environment) -> Any:
    """What a program sees with all of them installed."""
    wanted = {f"{NAMESPACES[name]}/model" for name in USED}
    modules = ",".join(name.replace("-", "_") for name in CASES)
    done = crowded.python("-c", PROGRAM, *sorted(wanted), *TARGETS, modules)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_working_plugins_are_listed_and_the_rest_is_reported(
    crowded: Environment, own: list[Any], warnings: list[str]
) -> None:
    listed = components(crowded)
    assert [each for each in listed if each["plugin"] == "segreg"] == own
    assert {each["name"] for each in own} > {"unet", "dice", "iou", "ph2"}
    sound = [f"{name}/model" for name in sorted(CASES) if name not in BROKEN]
    assert [each["name"] for each in listed if each["plugin"] != "segreg"] == [*sound, *TARGETS]
    assert warnings[:2] == ["module", "hook"]
    assert len(warnings) == 2 + len(BROKEN)


def test_segregs_own_names_build_before_and_after_all_the_others_are_loaded(program: Any) -> None:
    first, imported, shapes, _ = program
    assert first == [1, 1, 32, 32]
    assert imported == []
    assert shapes == [first] * 3


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_reported_in_one_line(
    name: str, warnings: list[str], rows: list[str], tracebacks: dict[str, str]
) -> None:
    cause, origin = CASES[name].cause, f"{name} {VERSION}"
    [warning] = [line for line in warnings if f" of {origin} cannot be used: " in line]
    assert warning.startswith(f"segreg: plugin {NAMESPACES[name]!r} of {origin} cannot be used: {cause}")
    [row] = [line for line in rows if f" {origin} " in line]
    assert row.startswith(f"{NAMESPACES[name]} {origin} {cause}")
    assert len(row) < 600
    refused_unread = cause.startswith(("the namespace", "its entry point", "it is written"))
    assert tracebacks[origin].startswith("segreg.errors.PluginError: " if refused_unread else "Traceback (most recent")
    assert cause.partition(":")[0] in tracebacks[origin]


def test_the_traceback_has_a_long_message_in_full(tracebacks: dict[str, str]) -> None:
    assert tracebacks[f"message-of-many-lines {VERSION}"].count("\u2028") == 100_000


@pytest.mark.parametrize("name", USED)
def test_building_a_name_of_a_broken_plugin_reports_why_it_cannot_be_built(name: str, program: Any) -> None:
    namespace = NAMESPACES[name]
    message = program[3][f"{namespace}/model"]
    begin = f"architecture '{namespace}/model' needs the plugin {namespace!r} of {name} {VERSION}: {CASES[name].cause}"
    assert message.startswith(begin)
    assert "\n" not in message


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_cannot_be_imported_is_named(name: str, program: Any) -> None:
    message = program[3][name]
    begin = f"architecture {name!r} of targets {VERSION} cannot be imported from {TARGETS[name]}"
    assert message.startswith(begin)
    assert "\n" not in message


@pytest.mark.parametrize("name", CASES)
def test_each_on_its_own_leaves_the_others_alone(name: str, crowded: Environment, own: list[Any]) -> None:
    """A fault masked by another one would show here."""
    others = ",".join(namespace for namespace in NAMESPACES.values() if namespace != NAMESPACES[name])
    listed, warned = output(crowded, "list", "--json", SEGREG_DISABLE_PLUGINS=others)
    assert [each for each in json.loads(listed) if each["plugin"] == "segreg"] == own
    warnings = [line for line in warned.splitlines() if line.startswith("segreg: ")]
    causes = [case.cause for other, case in CASES.items() if case.cause and NAMESPACES[other] == NAMESPACES[name]]
    assert len(warnings) == len(causes)
    for warning, cause in zip(warnings, causes, strict=True):
        assert cause in warning


@pytest.mark.parametrize(("verb", "escaped"), [("list", r"7\xd77"), ("plugins", r"gr\xf6\xdfer als \u2603")])
def test_on_an_ascii_only_pipe_other_characters_are_escaped(verb: str, escaped: str, crowded: Environment) -> None:
    assert escaped in output(crowded, verb, PYTHONIOENCODING="ascii")[0]


def test_an_interrupt_stops_the_command_unless_its_plugin_is_disabled(
    plain: Environment, own: list[Any], tmp_path: Path
) -> None:
    source = "raise KeyboardInterrupt"
    # Python can import from a wheel directly.
    wheel = write_wheel(tmp_path, "slow", {"slow.py": source}, namespace="slow", value="slow")
    for verb in ("list", "plugins"):
        done = plain.segreg(verb, PYTHONPATH=str(wheel))
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert components(plain, PYTHONPATH=str(wheel), SEGREG_DISABLE_PLUGINS="slow") == own
