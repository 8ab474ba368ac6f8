"""What every architecture guarantees, tested on all of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import segreg
from segreg import OptionError
from segreg.builtins.architectures.segnet import SegNet
from segreg.builtins.architectures.segnet_basic import SegNetBasic
from segreg.builtins.architectures.unet import UNet

NAMES = [entry.key for entry in segreg.components("architecture") if entry.plugin.distribution == "segreg"]
NARROW = {name: f"{name}:width=4" for name in NAMES}


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


every_name = pytest.mark.parametrize("name", NAMES)


@every_name
@pytest.mark.parametrize("width", [1, 3])
def test_any_width(name: str, width: int) -> None:
    torch.manual_seed(0)
    model = segreg.build(name, width=width).eval()
    with torch.no_grad():
        logits = model(images(2, 3, 33, 40))
    assert logits.shape == (2, 1, 33, 40)
    assert logits.isfinite().all()


@every_name
@pytest.mark.parametrize("option", ["in_channels", "num_classes", "width"])
@pytest.mark.parametrize("bad", [0, -1, 1.5, "three", True, None])
def test_invalid_numbers_of_channels_are_refused(name: str, option: str, bad: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}: {option} is {bad!r}: expected") as caught:
        segreg.build(name, **{option: bad})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [SegNet, SegNetBasic, UNet])
def test_invalid_numbers_of_channels_are_refused_by_the_class(model: type[nn.Module]) -> None:
    for option in ("in_channels", "num_classes", "width"):
        with pytest.raises(ValueError, match=f"^{option} is 0: expected 1 or more$"):
            model(**{option: 0})
    with pytest.raises(TypeError):
        model(3)


@every_name
def test_logits_are_in_half_precision_under_autocast(name: str) -> None:
    model = segreg.build(NARROW[name])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images(1, 3, 33, 32))
    assert logits.dtype == torch.bfloat16
    logits.float().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
