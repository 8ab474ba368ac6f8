"""Options as a plugin declares them and as a user gives them. This module is itself the plugin."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segreg
from segreg import Loss, OptionError, PluginError, Registry, hookimpl
from segreg.options import REQUIRED


class Probe:
    """Stores its options.

    Args:
        whole: A whole number,
            of something.
        number: A number.
    Shapes:
        logits: float [B, K, H, W].
    Raises:
        ValueError: never.
    """

    def __init__(
        self,
        *,
        whole: int = 1,
        number: float = 1.0,
        flag: bool = False,
        text: str = "",
        choice: Literal["max", "conv", 2] = "max",
        pair: tuple[int, float] = (1, 1.0),
        many: tuple[float, ...] = (),
        names: list[str] = [],  # noqa: B006
        choices: tuple[Literal["a", "b"], ...] = (),
        maybe: int | None = None,
        either: Optional[str | int] = None,  # noqa: UP045
        automatic: Literal["auto"] | float = "auto",
        folder: Path = Path(),
        forward: "dict[str, int]" = {},  # noqa: B006
    ) -> None:
        self.given = {name: value for name, value in locals().items() if name != "self"}


class Needy:
    """Needs an option."""

    def __init__(self, *, size: int) -> None:
        self.size = size


class Positional:
    """Takes a positional option."""

    def __init__(self, size: int = 1) -> None: ...


class Untyped:
    """Takes an option without a type."""

    def __init__(self, *, size=1) -> None: ...  # type: ignore[no-untyped-def]


class Swallows:
    """Takes anything."""

    def __init__(self, **options: int) -> None: ...


class Anything:
    """Has a constructor like torch's modules."""

    def __init__(self, *args, **kwargs) -> None: ...  # type: ignore[no-untyped-def]


class Plain(Anything):
    """Takes no options, and so has no constructor."""


class Unknowable:
    """Takes an option of a type that does not exist."""

    def __init__(self, *, size: "Nowhere" = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Strict:
    """Raises errors about values."""

    def __init__(self, *, size: int = 1) -> None:
        if size < 1:
            raise ValueError(f"size is {size}:\nexpected 1 or more")


def function(*, size: int = 3) -> int:
    """Return the size.

    Args:
        size: The size.
    """
    return size


NOT_CALLABLE = 5


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    presets: dict[str, dict[str, Any]] = {
        "preset": {"whole": 7, "choice": "conv"},
        "preset-unknown": {"hole": 7},
        "preset-wrong": {"whole": "seven"},
    }
    targets = [Probe, Needy, Positional, Untyped, Swallows, Anything, Plain, Unknowable, Strict, function]
    return [
        *(
            Loss(name=each.__name__.lower(), target=f"{__name__}:{each.__qualname__}", summary="A test's")
            for each in targets
        ),
        *(
            Loss(name=name, target=f"{__name__}:Probe", summary="A test's", options=options)
            for name, options in presets.items()
        ),
        Loss(name="not-callable", target=f"{__name__}:NOT_CALLABLE", summary="A test's"),
    ]


registry = Registry([EntryPoint("here", __name__, "segreg.v1")])


def probe(**options: Any) -> dict[str, Any]:
    given: dict[str, Any] = registry.build("loss", "here/probe", **options).given
    return given


def refusal(expression: str, /, **options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        registry.build("loss", expression, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [
        ("whole", 3, 3),
        ("whole", "3", 3),
        ("whole", " -3 ", -3),
        ("whole", np.int64(3), 3),
        ("number", 3, 3.0),
        ("number", "3", 3.0),
        ("number", "1e-3", 1e-3),
        ("number", np.float32(0.5), 0.5),
        ("flag", True, True),
        ("flag", "true", True),
        ("flag", "ON", True),
        ("flag", "1", True),
        ("flag", "false", False),
        ("flag", "no", False),
        ("flag", "0", False),
        ("text", "3", "3"),
        ("text", "none", "none"),
        ("text", Path("a/b"), "a/b"),
        ("choice", "conv", "conv"),
        ("choice", "2", 2),
        ("choice", 2, 2),
        ("pair", ("1", "2"), (1, 2.0)),
        ("pair", [1, 2], (1, 2.0)),
        ("many", ("1", 2), (1.0, 2.0)),
        ("many", "3", (3.0,)),
        ("many", (), ()),
        ("names", "abc", ["abc"]),
        ("names", ("a", "b"), ["a", "b"]),
        ("choices", ("a", "b", "a"), ("a", "b", "a")),
        ("maybe", None, None),
        ("maybe", "None", None),
        ("maybe", "3", 3),
        ("either", "none", None),
        ("either", "3", 3),
        ("either", "three", "three"),
        ("automatic", "auto", "auto"),
        ("automatic", "0.5", 0.5),
        ("folder", "a/b", Path("a/b")),
        ("forward", {"a": "1"}, {"a": 1}),
    ],
)
def test_a_value_becomes_its_type(option: str, given: Any, expected: Any) -> None:
    value = probe(**{option: given})[option]
    assert value == expected
    assert type(value) is type(expected)
    if isinstance(expected, tuple | list):
        assert [type(item) for item in value] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("option", "bad", "type_name"),
    [
        *(("whole", bad, "int") for bad in ["3.7", 3.7, 3.0, "three", "", True, None, [3]]),
        *(("number", bad, "float") for bad in ["", "one", True, None, (1.0,), 10**400, 1j]),
        *(("flag", bad, "bool") for bad in [1, 0, "", "maybe", "2", None, 1.0]),
        *(("text", bad, "str") for bad in [3, None, True, ["a"], b"a"]),
        *(("choice", bad, "'max' | 'conv' | 2") for bad in ["", "Max", "min", "3", 2.0, None, np.zeros((2, 2))]),
        *(("pair", bad, "tuple[int, float]") for bad in ["1", (1,), (1, 2, 3), ("a", 2), 1, None, {1: 2, 3: 4}]),
        *(("many", bad, "tuple[float, ...]") for bad in [3, "a", ("a",), {1.0: 2}, None]),
        *(("names", bad, "list[str]") for bad in [3, (3,), {"a": 1}]),
        *(("choices", bad, "tuple['a' | 'b', ...]") for bad in ["c", ("a", "c"), "ab"]),
        *(("maybe", bad, "int | None") for bad in ["", "x", 1.5, True]),
        *(("either", bad, "str | int | None") for bad in [1.5, True, ["a"]]),
        *(("automatic", bad, "'auto' | float") for bad in ["manual", True, None]),
        *(("folder", bad, "Path") for bad in [3, None]),
        *(("forward", bad, "dict[str, int]") for bad in ["a", {"a": "b"}, {1: 2}]),
    ],
)
def test_a_value_of_another_type_is_refused(option: str, bad: Any, type_name: str) -> None:
    message = refusal("here/probe", **{option: bad})
    assert message.startswith(f"here/probe: {option} is {' '.join(repr(bad).splitlines())[:300]}")
    assert message.endswith(f": expected {type_name}")


@given(st.integers())
def test_every_whole_number_is_read_from_its_text(number: int) -> None:
    assert probe(whole=str(number))["whole"] == number


@given(st.floats(allow_nan=False))
def test_every_number_is_read_from_its_text_without_rounding(number: float) -> None:
    assert probe(number=repr(number))["number"] == number
    assert repr(number) in refusal("here/probe", whole=number)
    assert repr(number) in refusal("here/probe", whole=repr(number))


def test_options_from_an_expression() -> None:
    built = registry.build(
        "loss", 'here/probe:pair=[1,2.5],choice=conv,text="a,b",names=[x,"y z"],maybe=none', whole="4"
    )
    options = {"pair": (1, 2.5), "choice": "conv", "text": "a,b", "names": ["x", "y z"], "maybe": None, "whole": 4}
    assert built.given == probe() | options


def test_an_unknown_option_is_named_with_the_closest_match_and_all_options() -> None:
    message = refusal("here/probe", hole=3)
    assert message.startswith(
        "here/probe has no option 'hole' (did you mean 'whole'?); available: whole, number, flag, "
    )
    assert refusal("here/function:x=1") == "here/function has no option 'x'; available: size"


def test_a_similar_choice_is_suggested() -> None:
    message = refusal("here/probe:choice=covn")
    assert message == "here/probe: choice is 'covn' (did you mean 'conv'?): expected 'max' | 'conv' | 2"


def test_a_missing_option_is_named() -> None:
    assert refusal("here/needy") == "here/needy needs the option 'size': write here/needy:size=..."
    assert registry.build("loss", "here/needy", size=2).size == 2


def test_an_option_given_twice_is_named() -> None:
    message = refusal("here/probe:whole=2,text=a", text="b", whole=3)
    assert message == "'here/probe:whole=2,text=a' sets 'text', which is already 'b': leave it out"


def test_the_error_of_a_component_about_a_value_is_passed_on() -> None:
    assert refusal("here/strict:size=0") == "here/strict: size is 0: expected 1 or more"


def test_any_name_can_be_an_option() -> None:
    for name in ("kind", "name", "expression", "self"):
        assert f"here/function has no option {name!r}" in refusal("here/function", **{name: "x"})
        with pytest.raises(OptionError, match=f"unet has no option {name!r}"):
            segreg.build("unet", **{name: "x"})


def test_given_options_override_presets() -> None:
    assert registry.build("loss", "here/preset").given == probe(whole=7, choice="conv")
    assert registry.build("loss", "here/preset:whole=8").given == probe(whole=8, choice="conv")
    assert registry.build("loss", "here/preset", choice="max").given == probe(whole=7)


def test_a_class_without_a_constructor_takes_no_options() -> None:
    assert isinstance(registry.build("loss", "here/plain"), Plain)
    assert refusal("here/plain:size=1") == "here/plain has no option 'size'; available: none"


def test_a_function_is_a_target_too() -> None:
    assert registry.build("loss", "here/function:size=4") == 4


def test_options_are_described() -> None:
    options = registry.describe("loss", "here/preset").options
    assert list(options) == list(probe())
    whole, number, forward = options["whole"], options["number"], options["forward"]
    assert (whole.type_name, whole.default, whole.meaning) == ("int", 7, "A whole number, of something.")
    assert (number.type_name, number.default, number.meaning) == ("float", 1.0, "A number.")
    assert (forward.type_name, forward.meaning) == ("dict[str, int]", "")
    assert registry.describe("loss", "here/needy").options["size"].default is REQUIRED


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("positional", "its parameter 'size' must be keyword-only and typed"),
        ("untyped", "its parameter 'size' must be keyword-only and typed"),
        ("swallows", "its parameter 'options' must be keyword-only and typed"),
        ("anything", "its parameter 'args' must be keyword-only and typed"),
        ("unknowable", "'Nowhere' is not defined"),
        ("not-callable", "is not a callable object"),
        ("preset-unknown", "here/preset-unknown has no option 'hole' (did you mean 'whole'?)"),
        ("preset-wrong", "here/preset-wrong: whole is 'seven': expected int"),
    ],
)
def test_a_target_that_breaks_the_contract_is_the_fault_of_its_plugin(name: str, message: str) -> None:
    for use in (registry.build, registry.describe):
        with pytest.raises(PluginError) as caught:
            use("loss", f"here/{name}")
        assert str(caught.value).startswith(f"loss 'here/{name}' of an unknown distribution cannot be used: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__
