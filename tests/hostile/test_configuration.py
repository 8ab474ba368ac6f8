"""Recipes, study files and expressions of any content: read, or refused immediately in one line."""

import math
import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from segreg.errors import OptionError, SegregError
from segreg.expression import parse, parse_sum
from segreg.kinds import KINDS
from segreg.recipe import Recipe, make_recipe, read_recipe, recipe_options
from segreg.registry import registry
from segreg.studies.plan import make_plan, shipped
from segreg.support.device import detect

SECONDS = 20  # of CPU time, where milliseconds are usual


def refusal(act: Callable[[], object]) -> str:
    """The message of the `SegregError` raised by an action, checked to be one line; empty if none is raised."""
    message, started = "", time.process_time()
    try:
        act()
    except SegregError as error:
        message = str(error)
        assert message
    assert time.process_time() - started < SECONDS
    assert message == "" or message.isprintable()
    return message


NAMES = st.sampled_from(
    [
        "unet",
        "segnet",
        "iou",
        "bce",
        "dice",
        "lesions",
        "folder",
        "affine",
        "sgd",
        "step",
        "trial/dot",
        "timm/x",
        "os:system",
    ]
)
OPTIONS = st.sampled_from(
    [
        "width",
        "depth",
        "pool",
        "norm",
        "smooth",
        "gamma",
        "alpha",
        "average",
        "size",
        "train",
        "root",
        "seed",
        "classes",
        "lr",
        "degrees",
        "milestones",
    ]
)
NUMBERS = st.integers(-3, 70) | st.integers() | st.floats() | st.sampled_from([10**9, 10**18, 2**63, 10**30])
WORDS = st.text(max_size=12) | st.sampled_from(
    ["none", "auto", "conv", "../..", "a\0b", "~x", "𝟜", "1_0", "٣", "-0", "1e400"]
)
EXPRESSIONS = st.builds(
    lambda name, options: f"{name}:{','.join(f'{key}={value}' for key, value in options)}" if options else name,
    NAMES,
    st.lists(st.tuples(OPTIONS, NUMBERS | WORDS | st.just("[a,b]")), max_size=3),
)
SCALARS = NUMBERS | WORDS | EXPRESSIONS | st.booleans() | st.datetimes() | st.dates() | st.times()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)
KEYS = st.sampled_from([*recipe_options(), "preset", "epoch", "", "self", "__class__", "a.b"]) | st.text(max_size=6)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


def document(tables: dict[str, Any]) -> bytes:
    """The tables as TOML, without text that TOML cannot hold."""
    return tomli_w.dumps(tables).encode(errors="replace")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "any.toml"


@given(TABLES, st.none() | VALUES)
@settings(max_examples=300)
def test_a_recipe_of_any_keys_types_and_values(path: Path, table: dict[str, Any], components: Any) -> None:
    written = {} if components is None else {"component": components}
    path.write_bytes(document({"recipe": table, **written}))
    refusal(lambda: read_recipe(path))


@given(
    st.dictionaries(
        st.sampled_from(["name", "seeds", "preset", "recipe", "grid", "runs", ""]), VALUES | TABLES, max_size=4
    )
)
@settings(max_examples=150)
def test_a_study_of_any_keys_types_and_values(path: Path, table: dict[str, Any]) -> None:
    path.write_bytes(document(table))
    refusal(lambda: make_plan(path))


@given(st.lists(VALUES, max_size=2), st.lists(VALUES, max_size=2), st.lists(VALUES, max_size=2), TABLES, WORDS)
@settings(max_examples=150)
def test_a_grid_of_anything(path: Path, models: Any, losses: Any, seeds: Any, table: dict[str, Any], name: str) -> None:
    grid = [{"models": ["unet", *models], "losses": ["bce", *losses]}]
    path.write_bytes(document({"name": name, "seeds": [0, *seeds], "recipe": table, "grid": grid}))
    refusal(lambda: make_plan(path))


@given(st.data())
@settings(max_examples=150)
def test_a_file_with_damage_anywhere_is_read_or_refused_in_one_line(path: Path, data: st.DataObject) -> None:
    sound = data.draw(st.sampled_from([make_recipe().to_toml(), *(file.read_text() for file in shipped().values())]))
    content = bytearray(f"[recipe]\n{sound}" if "grid" not in sound else sound, "utf-8")
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=8) | WORDS.map(str.encode))
    path.write_bytes(content)
    refusal(lambda: read_recipe(path))
    refusal(lambda: make_plan(path))


@given(st.sampled_from(list(KINDS)), EXPRESSIONS | st.text(max_size=30))
@settings(max_examples=300)
def test_an_expression_of_anything(kind: Any, text: str) -> None:
    refusal(lambda: registry().resolve(kind, text))
    refusal(lambda: parse_sum(text))
    if kind in ("loss", "dataset"):
        refusal(lambda: registry().build(kind, text))


WRONG = [
    None,
    True,
    -1,
    0,
    10**30,
    0.5,
    math.nan,
    math.inf,
    "",
    "x",
    "\0",
    [],
    [[]],
    ["x"],
    {},
    {"a": 1},
    b"x",
    object(),
]


@pytest.mark.parametrize("setting", recipe_options())
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_every_setting_accepts_its_type_and_range_or_is_named(setting: str, value: Any) -> None:
    made: list[Recipe] = []
    message = refusal(lambda: made.append(make_recipe(**{setting: value})))
    if message:
        # A name that does not exist is named itself.
        assert re.search(rf"{setting}|'x'|''|component|empty term", message)
    else:
        # An accepted value means the same when it is read back.
        assert make_recipe(**tomllib.loads(made[0].to_toml())) == made[0]


@pytest.mark.parametrize(
    ("setting", "minimum", "maximum"),
    [("epochs", 1, 10**9), ("batch", 1, 10**9), ("seed", 0, 2**32 - 1), ("size", 32, 9459)],
)
def test_the_ends_of_a_range_are_accepted_and_values_beyond_are_not(setting: str, minimum: int, maximum: int) -> None:
    for value in (minimum, maximum):
        assert refusal(lambda value=value: make_recipe(**{setting: value})) == ""
    for value in (minimum - 1, maximum + 1):
        assert setting in refusal(lambda value=value: make_recipe(**{setting: value}))


@pytest.mark.parametrize(
    ("key", "near"), [(name[:-1] if len(name) > 3 else f"{name}s", name) for name in recipe_options()]
)
def test_an_unknown_key_is_named_with_the_closest_match(path: Path, key: str, near: str) -> None:
    path.write_bytes(document({"recipe": {key: 1}}))
    assert refusal(lambda: read_recipe(path)).startswith(f"recipe has no option {key!r} (did you mean {near!r}?)")


DEEP = 100_000
MONSTERS = {
    "deep-array": f"[recipe]\nlr = {'[' * DEEP}",
    "deep-table": f"[recipe]\nlr = {'{a=' * DEEP}",
    "deep-key": f"[{'a.' * 20_000}a]\n",
    "digits": f"[recipe]\nlr = {'1' * 5000}",
    "hexadecimal": f"[recipe]\nlr = 0x{'f' * 5000}",
    "hexadecimal-seed": f"[recipe]\nseed = 0x{'f' * 5000}",
    "hexadecimal-size": f"[recipe]\nsize = 0x{'f' * 5000}",
    "hexadecimal-preset": f"[recipe]\npreset = 0x{'f' * 5000}",
    "hexadecimal-grid": f"seeds = 0x{'f' * 5000}",
    "hexadecimal-seeds": f"seeds = [0x{'f' * 5000}]\n[[grid]]\nmodels = ['unet']\nlosses = ['bce']",
    "long-key": f"[recipe]\n{'k' * 10**6} = 1",
    "long-text": f"[recipe]\nmodel = '{'u' * 10**6}'",
    "long-line": f"[recipe]\nnormalize = '{'u' * 10**6}'",
    "components": "component = 3\n[recipe]\nmodel = 'theirs/net'",
    "components-nested": "component = [[[]], [1]]\n[recipe]\nmodel = 'theirs/net'",
    "byte-order-mark": "\ufeff[recipe]\n",
    "zeros": "\0" * 1000,
}


@pytest.mark.parametrize("name", MONSTERS)
def test_a_huge_file_is_refused_at_once(path: Path, name: str) -> None:
    path.write_text(MONSTERS[name], encoding="utf-8")
    for read in (read_recipe, make_plan):
        message = refusal(lambda read=read: read(path))
        assert message
        assert len(message) < 3000


LONG = 50_000
MONSTROUS_EXPRESSIONS = {
    "digits": "1" * LONG,
    "points": "1." * LONG,
    "exponents": "a:x=" + "=1e+" * LONG,
    "spaces": f"a:x={' ' * LONG},",
    "plus": "+" * LONG,
    "brackets": f"a:x={'[' * LONG}",
    "matched-brackets": f"folder:classes={'[' * LONG}{']' * LONG}",
    "quotes": '"' * (LONG + 1),
    "options": f"a:{'x=1,' * LONG}",
    "backslashes": f'a:x="{chr(92) * LONG}',
    "weight": f"1e{'9' * 400}*bce",
    "weight-of-digits": f"{'9' * LONG}*bce",
    "dot-dot": f"{'../' * LONG}unet",
}


@pytest.mark.parametrize("name", MONSTROUS_EXPRESSIONS)
def test_a_huge_expression_is_refused_at_once(name: str) -> None:
    text = MONSTROUS_EXPRESSIONS[name]
    for setting in ("model", "loss", "metrics", "data"):
        message = refusal(lambda setting=setting: make_recipe(**{setting: [text] if setting == "metrics" else text}))
        assert message
        assert len(message) < 3000


def test_brackets_may_be_as_deep_as_an_option_could_need() -> None:
    assert parse("a:x=" + "[" * 20 + "]" * 20).options
    assert "brackets 21 deep" in refusal(lambda: parse("a:x=" + "[" * 21 + "]" * 21))


@pytest.mark.parametrize(
    "device", ["cpu:128", "cuda:128", "cuda:300", "cpu:-1", "meta", "", "\0", "\udce9", "cpu:9" * 99]
)
@pytest.mark.filterwarnings("ignore")
def test_an_invalid_device_is_named(device: str) -> None:
    with pytest.raises(OptionError, match="device is "):
        detect(device)


@pytest.mark.parametrize("option", ["size", "train", "valid", "test"])
def test_an_excessive_number_of_lesions_is_refused(option: str) -> None:
    assert f"{option} is 1000000000: expected" in refusal(
        lambda: registry().build("dataset", f"lesions:{option}={10**9}")
    )


def test_images_that_do_not_fit_in_memory_are_refused() -> None:
    from segreg.data.in_memory import load_data

    endless = SimpleNamespace(classes=("one",), splits={"train": range(10**9), "valid": range(1)})
    message = refusal(lambda: load_data(endless, (9000, 9000), lambda *_: None))
    assert message.startswith("the 1000000000 images of train at 9000x9000 do not fit into memory")
