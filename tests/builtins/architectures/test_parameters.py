"""Parameter counts, computed by hand from the layers in the papers, and weight initialization."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import segreg


def counted(name: str, **options: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in segreg.build(name, **options).parameters())


def conv(inputs: int, outputs: int, kernel: int = 3) -> int:
    """A convolution without bias, and batch normalisation's scale and shift."""
    return inputs * outputs * kernel * kernel + 2 * outputs


def biased(inputs: int, outputs: int, kernel: int = 3) -> int:
    """A convolution, transposed or not, with bias."""
    return inputs * outputs * kernel * kernel + outputs


CONTRACTING = (
    *(conv(3, 64), conv(64, 64)),
    *(conv(64, 128), conv(128, 128)),
    *(conv(128, 256), conv(256, 256)),
    *(conv(256, 512), conv(512, 512)),
    *(conv(512, 1024), conv(1024, 1024)),
)
EXPANDING = (
    *(conv(1024, 512), conv(512, 512)),
    *(conv(512, 256), conv(256, 256)),
    *(conv(256, 128), conv(128, 128)),
    *(conv(128, 64), conv(64, 64)),
)
UP = ((1024, 512), (512, 256), (256, 128), (128, 64))
UNET = sum(CONTRACTING) + sum(EXPANDING) + biased(64, 1, kernel=1)
STRIDED = conv(64, 64) + conv(128, 128) + conv(256, 256) + conv(512, 512)
# Without normalisation each convolution has a bias for every scale and shift.
NORMS = 2 * (64 + 128 + 256 + 512 + 1024 + 512 + 256 + 128 + 64)

VGG16 = (
    *((3, 64), (64, 64)),
    *((64, 128), (128, 128)),
    *((128, 256), (256, 256), (256, 256)),
    *((256, 512), (512, 512), (512, 512)),
    *((512, 512), (512, 512), (512, 512)),
)
# The decoder mirrors the encoder; only its last convolution differs.
SEGNET = sum(conv(*each) for each in VGG16) + sum(conv(outputs, inputs) for inputs, outputs in VGG16[1:])
SEGNET_BASIC = conv(3, 64, kernel=7) + 3 * conv(64, 64, kernel=7) + 4 * conv(64, 64, kernel=7)


@pytest.mark.parametrize(
    ("name", "by_hand", "number"),
    [
        ("unet", UNET + sum(biased(*up, kernel=2) for up in UP), 31_037_633),
        ("unet-upsample", UNET + sum(biased(*up) for up in UP), 34_519_233),
        ("unet-convpool", UNET + sum(biased(*up, kernel=2) for up in UP) + STRIDED, 34_172_993),
        ("segnet", SEGNET + biased(64, 1), 29_435_649),
        ("segnet-basic", SEGNET_BASIC + biased(64, 1, kernel=1), 1_415_425),
    ],
)
def test_parameter_counts_of_the_defaults(name: str, by_hand: int, number: int) -> None:
    assert counted(name) == by_hand == number


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("unet:pool=avg", 31_037_633),
        ("unet:upsample=bilinear", 34_519_233),
        ("unet:norm=group", 31_037_633),
        ("unet:norm=instance", 31_037_633),
        ("unet:norm=none", 31_037_633 - NORMS),
        ("unet:dropout=0.5", 31_037_633),
        ("unet:in_channels=5", 31_037_633 + 2 * 9 * 64),
        ("unet:num_classes=11", 31_037_633 + 10 * (64 + 1)),
        ("segnet:in_channels=5", 29_435_649 + 2 * 9 * 64),
        ("segnet:num_classes=11", 29_435_649 + 10 * (9 * 64 + 1)),
        ("segnet-basic:in_channels=5", 1_415_425 + 2 * 49 * 64),
        ("segnet-basic:num_classes=11", 1_416_075),
    ],
)
def test_parameter_counts_of_variants(name: str, by_hand: int) -> None:
    assert counted(name) == by_hand


def test_parameter_count_of_a_small_unet() -> None:
    down = conv(1, 8) + conv(8, 8) + conv(8, 16) + conv(16, 16)
    up = biased(16, 8, kernel=2) + conv(16, 8) + conv(8, 8)
    assert counted("unet:width=8,depth=1,in_channels=1,num_classes=2") == down + up + biased(8, 2, kernel=1)


@pytest.mark.parametrize("width", [1, 3, 10, 64, 65])
@pytest.mark.parametrize(("channels", "classes"), [(3, 1), (1, 2), (5, 11)])
def test_parameter_count_of_a_segnet_is_a_polynomial_in_its_width(width: int, channels: int, classes: int) -> None:
    """Polynomials in the width, without the layers: weights of inner convolutions, of the outer two, and the norms."""
    options = {"width": width, "in_channels": channels, "num_classes": classes}
    # 399 pairs of channels at width 1, down and up; 66 channels are normalised on the way down and 58 up.
    inner, norms = 9 * 2 * 399 * width**2, 2 * (66 + 58) * width
    assert counted("segnet", **options) == inner + 9 * channels * width + norms + classes * (9 * width + 1)
    inner, norms = 49 * 7 * width**2, 2 * 8 * width
    assert counted("segnet-basic", **options) == inner + 49 * channels * width + norms + classes * (width + 1)


def convolutions(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.ConvTranspose2d]]:
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            yield name, layer


def inputs_of_an_output(layer: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Count the inputs that one output away from the edge depends on."""
    images = torch.zeros(1, layer.in_channels, 16, 16, requires_grad=True)
    convolve = torch.conv_transpose2d if isinstance(layer, nn.ConvTranspose2d) else torch.conv2d
    output = convolve(images, torch.ones(layer.weight.shape), None, layer.stride, layer.padding)
    (slope,) = torch.autograd.grad(output[0, 0, output.shape[2] // 2, output.shape[3] // 2], images)
    return int((slope != 0).sum())


@pytest.mark.parametrize(
    "name",
    [
        "unet:width=8",
        "unet-upsample:width=8",
        "unet-convpool:width=8",
        "unet:width=8,norm=none",
        "segnet:width=8",
        "segnet-basic:width=8",
    ],
)
def test_weights_are_initialized_as_in_he_et_al(name: str) -> None:
    torch.manual_seed(0)
    model = segreg.build(name)
    for where, layer in convolutions(model):
        count = layer.weight.numel()
        wanted = math.sqrt(2 / inputs_of_an_output(layer))
        # Five standard errors of a sample's standard deviation and of its mean.
        assert abs(layer.weight.std().item() / wanted - 1) < 5 / math.sqrt(2 * count), where
        assert abs(layer.weight.mean().item()) < 5 * wanted / math.sqrt(count), where
        assert layer.bias is None or not layer.bias.any(), where
    largest = max((each for _, each in convolutions(model)), key=lambda each: each.weight.numel()).weight
    beyond = (largest.abs() > 2 * largest.std()).float().mean().item()
    # 4.55 % of a normal distribution is beyond two standard deviations, none of a uniform one.
    assert abs(beyond - 0.0455) < 0.01


@pytest.mark.parametrize(
    "name", ["unet:width=4", "unet:width=4,norm=group", "unet:width=4,norm=instance", "segnet-basic"]
)
def test_normalisation_starts_with_scale_one_and_shift_zero(name: str) -> None:
    kinds = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
    layers = [layer for layer in segreg.build(name).modules() if isinstance(layer, kinds)]
    assert len(layers) in (8, 18)
    for layer in layers:
        assert (layer.weight == 1).all()
        assert (layer.bias == 0).all()


def test_the_seed_determines_the_weights() -> None:
    def built(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(segreg.build("unet:width=4").parameters())

    assert torch.equal(built(1), built(1))
    assert not torch.equal(built(1), built(2))
