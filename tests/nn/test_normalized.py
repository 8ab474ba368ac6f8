"""What a model sees of an image."""

import numpy as np
import pytest
import torch
from torch import nn

from segreg.nn.normalized import Normalized


def images() -> torch.Tensor:
    contrast = torch.tensor([0.1, 1.0]).view(2, 1, 1)
    return torch.rand(3, 2, 8, 5, generator=torch.Generator().manual_seed(0)) * contrast


def test_each_channel_of_each_image_gets_mean_0_and_deviation_1() -> None:
    pixels = images().double().numpy()
    expected = (pixels - pixels.mean((2, 3), keepdims=True)) / pixels.std((2, 3), keepdims=True)
    np.testing.assert_allclose(Normalized(nn.Identity(), "image")(images()).numpy(), expected, atol=1e-5)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    flat = torch.full((1, 1, 4, 4), 0.3)
    assert Normalized(nn.Identity(), "image")(flat).abs().max() < 1e-4


def test_none_leaves_images_unchanged() -> None:
    assert torch.equal(Normalized(nn.Identity(), "none")(images()), images())


class Seen(nn.Module):
    """Records the memory format that it is called with."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3), norm
        self.channels_last: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for each in (images, self.conv.weight):
            self.channels_last.append(each.is_contiguous(memory_format=torch.channels_last))
        return self.norm(self.conv(images))


@pytest.mark.parametrize(
    ("norm", "channels_last"),
    [(nn.BatchNorm2d(4), True), (nn.InstanceNorm2d(4), False), (nn.GroupNorm(2, 4), False)],
)
def test_memory_is_laid_out_as_suits_the_normalisation(norm: nn.Module, channels_last: bool) -> None:
    model = Seen(norm)
    Normalized(model, "none")(images())
    assert model.channels_last == [channels_last, channels_last]
