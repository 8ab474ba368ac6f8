import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

import segreg
from tests.trial import call


@pytest.mark.parametrize("training", [False, True])
def test_the_timings_are_consistent(tmp_path: Path, training: bool) -> None:
    image = tmp_path / "bench.png"
    options = [
        "--size",
        "33",
        "--batch",
        "2",
        "--rounds",
        "2",
        "--device",
        "cpu",
        "--plot",
        str(image),
        "--json",
        "-q",
    ]
    status, out, err = call(
        "bench", "unet:width=2,depth=1", "--against", "trial/dot", *options, *(["--train"] if training else [])
    )
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [(each["model"], each["how"]) for each in found] == [
        ("trial/dot", "plain fp32"),
        ("unet:width=2,depth=1", "segreg"),
        ("trial/dot", "segreg"),
    ]
    assert found[0]["speed"] == [1.0, 0.0]
    for each in found:
        model = segreg.build(each["model"])
        with FlopCounterMode(display=False) as counter:
            logits = model(torch.rand(2, 3, 33, 33))
            if training:
                logits.sum().backward()
        seconds = each["milliseconds"][0] / 1000
        assert each["gflops"] == pytest.approx(counter.get_total_flops() / seconds / 1e9)
        assert each["images_per_second"] == pytest.approx(2 / seconds)
        assert each["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert each["of_convolutions"][0] > 0
        assert each["megabytes"] >= 0
        assert each["training"] == training
    assert Image.open(image).size[0] > 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unett"], "did you mean 'unet'?"),
        (["--size", "0"], "--size is 0: expected 1 or more"),
        (["--batch", "-1"], "--batch is -1: expected 1 or more"),
        (["--rounds", "0"], "--rounds is 0: expected 1 or more"),
        (["--size", "big"], "invalid int value: 'big'"),
        (["unet", "--size", "16"], "size is 16x16: expected 32x32 or more for unet"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str) -> None:
    status, out, err = call("bench", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
