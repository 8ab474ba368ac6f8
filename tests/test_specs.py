from typing import Any

import pytest

from segreg import Architecture, Dataset, Loss, Metric

FIELDS: dict[str, Any] = {"name": "x-net", "target": "package.module:Class", "summary": "A net"}


@pytest.mark.parametrize("record", [Architecture, Loss, Metric, Dataset])
def test_a_name_has_one_spelling(record: type[Architecture]) -> None:
    assert record(**FIELDS | {"name": " UNet_Conv-Pool2 "}).name == "unet-conv-pool2"
    assert record(**FIELDS, aliases=["F_1", "f2"]).aliases == ("f-1", "f2")


def test_the_defaults_of_omitted_fields() -> None:
    record = Architecture(**FIELDS)
    assert (record.options, record.reference, record.aliases, record.min_size) == ({}, "", (), 32)
    assert Metric(**FIELDS).higher_is_better


@pytest.mark.parametrize(
    ("record", "field", "bad", "message"),
    [
        *((Loss, "name", bad, "letters and digits") for bad in ["", "a b", "a/b", "a.b", "-a", "a--b", "é", 5, None]),
        *(
            (Loss, "target", bad, "written as 'package.module:Class'")
            for bad in ["", "module", "module:", ":Class", "a.b", "a:b.c", "a b:c", "a:b:c", "1a:b", "a:b\n", 5, int]
        ),
        *((Loss, "summary", bad, "one line of text") for bad in ["two\nlines", 5, None]),
        *((Loss, "reference", bad, "one line of text") for bad in ["two\nlines", 5, None]),
        *((Loss, "options", bad, "a mapping by option name") for bad in [None, ["pool"], "pool=max", {1: "max"}]),
        *((Loss, "aliases", bad, "a tuple of names") for bad in ["f1", 5, ("a b",), (5,), {"a": 1}]),
        *((Architecture, "pretrained_options", bad, "a tuple of option names") for bad in ["a", (1,), None, 3]),
        *((Architecture, "min_size", bad, "a whole number from 1 up") for bad in [0, -1, 32.0, "32", True, None]),
        *((Metric, "higher_is_better", bad, "True or False") for bad in [1, "yes", None]),
    ],
)
def test_a_bad_field_is_refused_in_one_line(record: type[Loss], field: str, bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        record(**FIELDS | {field: bad})
    text = str(caught.value)
    assert "\n" not in text
    owner = f"{record.__name__} {bad if field == 'name' else 'x-net'!r}"
    assert text.startswith(f"{owner}: {field} is {bad!r}: expected {message}")


@pytest.mark.parametrize("field", FIELDS)
def test_a_required_field_is_named(field: str) -> None:
    with pytest.raises(TypeError, match=field):
        Loss(**{name: value for name, value in FIELDS.items() if name != field})


def test_a_record_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Loss(**FIELDS).name = "other"  # type: ignore[misc]
