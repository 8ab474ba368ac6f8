"""What a model sees of a picture."""

import numpy as np
import torch
from torch import nn

from segreg.training.normalized import Normalized


def images() -> torch.Tensor:
    contrast = torch.tensor([0.1, 1.0]).view(2, 1, 1)
    return torch.rand(3, 2, 8, 5, generator=torch.Generator().manual_seed(0)) * contrast


def test_each_channel_of_each_picture_gets_mean_0_and_deviation_1() -> None:
    pixels = images().double().numpy()
    expected = (pixels - pixels.mean((2, 3), keepdims=True)) / pixels.std((2, 3), keepdims=True)
    np.testing.assert_allclose(Normalized(nn.Identity(), "image")(images()).numpy(), expected, atol=1e-5)


def test_a_channel_of_one_value_is_not_divided_by_zero() -> None:
    flat = torch.full((1, 1, 4, 4), 0.3)
    assert Normalized(nn.Identity(), "image")(flat).abs().max() < 1e-4


def test_none_leaves_pictures_as_they_are() -> None:
    assert torch.equal(Normalized(nn.Identity(), "none")(images()), images())
