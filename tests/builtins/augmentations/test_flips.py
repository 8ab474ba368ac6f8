"""Mirroring and quarter turns: exactly NumPy's, each as often as it says."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.builtins.augmentations.oracle import augment

FLIPS = {"hflip": np.fliplr, "vflip": np.flipud}


def numbered(count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks in which every pixel has its own value, as far as they go."""
    target = (torch.arange(count * height * width) % 251).view(count, height, width)
    return (target / 251)[:, None].repeat(1, 2, 1, 1), target


def checked(names: list[str], u: torch.Tensor, expected: Any, size: tuple[int, int]) -> None:
    """Compare images and masks with those expected, of which none may be resampled."""
    images, target = numbered(len(u), *size)
    changed_images, changed = augment(names, images, target, u)
    for one, mask, image in zip(range(len(u)), changed, changed_images, strict=True):
        assert np.array_equal(mask, expected(one, target[one].numpy()))
        assert np.array_equal(image[1], expected(one, images[one, 1].numpy()))


@pytest.mark.parametrize("size", [(6, 6), (5, 8)])
@pytest.mark.parametrize("name", FLIPS)
def test_a_flip_is_numpys(name: str, size: tuple[int, int]) -> None:
    u = torch.tensor([[0.0], [0.49], [0.5], [0.99]])
    checked([name], u, lambda one, pixels: FLIPS[name](pixels) if u[one] < 0.5 else pixels, size)


def test_quarter_turns_of_a_square_are_numpys() -> None:
    u = torch.tensor([[0.0], [0.26], [0.6], [1 - 2**-24]])
    checked(["rotate90"], u, lambda one, pixels: np.rot90(pixels, one), (6, 6))


def test_images_that_are_not_square_are_rotated_by_0_or_180_degrees() -> None:
    u = torch.tensor([[0.0], [0.49], [0.5], [1 - 2**-24]])
    checked(["rotate90"], u, lambda one, pixels: np.rot90(pixels, 2 * (one // 2)), (5, 8))


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("order", [["hflip", "rotate90"], ["rotate90", "hflip"]])
def test_several_are_applied_in_the_order_named(order: list[str], turn: int) -> None:
    u = torch.tensor([[0.0, turn / 4] if order[0] == "hflip" else [turn / 4, 0.0]])

    def expected(_: int, pixels: Any) -> Any:
        for name in order:
            pixels = np.fliplr(pixels) if name == "hflip" else np.rot90(pixels, turn)
        return pixels

    checked(order, u, expected, (6, 6))


@pytest.mark.parametrize(("name", "p"), [("hflip", 0.5), ("hflip:p=0.1", 0.1), ("vflip:p=0", 0.0), ("vflip:p=1", 1.0)])
def test_the_share_that_is_mirrored(name: str, p: float) -> None:
    u = torch.rand(4000, 1, generator=torch.Generator().manual_seed(0))
    images = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).repeat(4000, 1, 2, 1)
    images[:, :, 1] = 1 - images[:, :, 1]
    changed, _ = augment([name], images, torch.zeros(4000, 2, 2).long(), u)
    assert (changed != images).any((1, 2, 3)).float().mean().item() == pytest.approx(p, abs=0.03)
