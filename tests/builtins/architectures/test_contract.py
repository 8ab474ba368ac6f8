"""What every architecture promises, tested on all of them."""

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


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    """One narrow model of each name; a test that changes one must leave it as it was."""
    torch.manual_seed(0)
    return {name: segreg.build(expression) for name, expression in NARROW.items()}


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


every_name = pytest.mark.parametrize("name", NAMES)


@every_name
@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 1), (3, 2), (4, 11), (5, 1)])
def test_any_number_of_channels_and_classes(name: str, in_channels: int, num_classes: int) -> None:
    with torch.device("meta"):
        model = segreg.build(name, in_channels=in_channels, num_classes=num_classes)
        logits = model(torch.empty(2, in_channels, 48, 37))
    assert logits.shape == (2, num_classes, 48, 37)
    assert logits.dtype == torch.float32


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
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 35)])
def test_one_image_is_enough_to_learn_from(models: dict[str, nn.Module], name: str, size: tuple[int, int]) -> None:
    model = models[name].train()
    model.zero_grad()
    logits = model(images(1, 3, *size))
    assert logits.shape == (1, 1, *size)
    assert logits.isfinite().all()
    logits.square().mean().backward()
    for where, parameter in model.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
        assert parameter.grad.any(), where
    model.zero_grad()


@every_name
def test_images_of_a_batch_do_not_mix(models: dict[str, nn.Module], name: str) -> None:
    model = models[name].eval()
    batch = images(3, 3, 40, 33)
    with torch.no_grad():
        together = model(batch)
        assert torch.equal(model(batch), together)
        for number in range(3):
            alone = model(batch[number : number + 1])
            torch.testing.assert_close(together[number : number + 1], alone, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


@every_name
def test_logits_are_not_activated(models: dict[str, nn.Module], name: str) -> None:
    model = models[name].eval()
    last = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    batch = images(1, 3, 32, 32)
    with torch.no_grad():
        before = model(batch)
        last.weight *= -1000
        after = model(batch)
        last.weight /= -1000
    torch.testing.assert_close(after, -1000 * before, rtol=1e-4, atol=1e-3)
    assert before.abs().max() > 0


@every_name
def test_the_layout_in_memory_does_not_matter(models: dict[str, nn.Module], name: str) -> None:
    model = models[name].eval()
    batch = images(2, 3, 45, 64)
    with torch.no_grad():
        expected = model(batch)
        model.to(memory_format=torch.channels_last)
        got = model(batch.to(memory_format=torch.channels_last))
        model.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@every_name
@pytest.mark.parametrize("option", ["in_channels", "num_classes", "width"])
@pytest.mark.parametrize("bad", [0, -1, 1.5, "three", True, None])
def test_bad_numbers_of_channels_are_refused(name: str, option: str, bad: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}: {option} is {bad!r}: expected") as caught:
        segreg.build(name, **{option: bad})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [SegNet, SegNetBasic, UNet])
def test_bad_numbers_of_channels_are_refused_by_the_class(model: type[nn.Module]) -> None:
    for option in ("in_channels", "num_classes", "width"):
        with pytest.raises(ValueError, match=f"^{option} is 0: expected 1 or more$"):
            model(**{option: 0})
    with pytest.raises(TypeError):
        model(3)


@every_name
def test_half_precision_where_it_is_asked_for(name: str) -> None:
    model = segreg.build(NARROW[name])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images(1, 3, 33, 32))
    assert logits.dtype == torch.bfloat16
    logits.float().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
