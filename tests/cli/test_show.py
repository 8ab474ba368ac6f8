"""`segreg show`."""

import json

import pytest

from tests.trial import call


def test_a_model_is_shown_with_options_parameters_and_reference() -> None:
    status, out, err = call("show", "unet-convpool")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("architecture unet-convpool, from segreg ")
    assert "joined at every resolution by a skip connection" in out
    pool = next(line for line in lines if line.strip().startswith("pool "))
    assert "'max' | 'avg' | 'conv'" in pool
    assert pool.split("'max' | 'avg' | 'conv'")[1].split()[0] == "'conv'"
    assert "How it is halved" in pool
    # 9 weights for each pair of channels, and scale and shift of the norm, for four strided convolutions.
    extra = sum(9 * width * width + 2 * width for width in (64, 128, 256, 512))
    assert f"parameters: {31_037_633 + extra:,} with these defaults" in out
    assert "Reference: Ronneberger" in out


def test_a_loss_and_a_metric_of_the_same_name_are_both_shown() -> None:
    out = call("show", "Dice")[1]
    heads = [line for line in out.splitlines() if ", from segreg " in line]
    assert [line.split(",")[0] for line in heads] == ["loss dice", "metric dice"]
    assert "num_classes" in out
    assert "required" in out
    assert "parameters:" not in out


def test_json_has_types_defaults_and_descriptions() -> None:
    status, out, err = call("show", "unet", "--json")
    assert (status, err) == (0, "")
    [shown] = json.loads(out)
    assert (shown["kind"], shown["name"], shown["plugin"], shown["parameters"]) == (
        "architecture",
        "unet",
        "segreg",
        31_037_633,
    )
    assert shown["options"]["width"]["type"] == "int"
    assert shown["options"]["width"]["default"] == 64
    assert shown["options"]["width"]["required"] is False
    assert shown["options"]["width"]["meaning"].startswith("Channels at full resolution")
    assert [each["kind"] for each in json.loads(call("show", "dice", "--json")[1])] == ["loss", "metric"]


def test_an_option_without_default_is_shown_as_required() -> None:
    status, out, err = call("show", "trial/demanding")
    assert (status, err) == (0, "")
    assert "required" in out
    assert "parameters:" not in out
    [shown] = json.loads(call("show", "trial/demanding", "--json")[1])
    assert shown["options"]["pages"] == {"type": "int", "required": True, "default": None, "meaning": ""}
    assert shown["parameters"] is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unett", "unknown component 'unett' (did you mean 'unet'?); see `segreg list`"),
        ("trial/dott", "unknown component 'trial/dott' (did you mean 'trial/dot'?); see `segreg list`"),
        ("nothing/unet", "unknown component 'nothing/unet'"),
    ],
)
def test_an_unknown_name_is_named_with_the_closest_match(name: str, message: str) -> None:
    status, out, err = call("show", name)
    assert (status, out) == (2, "")
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
