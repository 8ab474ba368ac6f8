"""Elastic deformation: how far pixels move, and that images and masks move as SciPy would move them."""

import numpy as np
import pytest
import torch

import segreg
from tests.builtins.augmentations.oracle import augment, nearest, pixel_grid, sampled, smooth, uniforms


def in_pixels(name: str, u: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Displacements in pixels, [B, H, W, 2]."""
    height, width = size
    return segreg.augmentation(name).displacement(u, size) * torch.tensor([width / 2, height / 2])


def test_the_defaults_of_u_net_displace_by_ten_pixels() -> None:
    name, size = "elastic:grid=3,sigma=0.0175,p=1", (572, 572)
    points = [0, 285, 571]
    moved = in_pixels(name, uniforms("elastic", 60), size)
    # Those of 285 are half a pixel beside the point in the middle.
    at_points = moved[:, points][:, :, points].double()
    assert at_points.std().item() == pytest.approx(10, rel=0.05)
    assert abs(at_points.mean().item()) < 0.8
    steps = (moved[:, 1:] - moved[:, :-1]).abs().max()
    assert steps < 0.3


@pytest.mark.parametrize("size", [(41, 41), (41, 81), (81, 41)])
@pytest.mark.parametrize("grid", [2, 5])
def test_the_deviation_at_the_points_of_the_grid_is_a_share_of_the_shorter_side(
    size: tuple[int, int], grid: int
) -> None:
    name = f"elastic:grid={grid},sigma=0.1,p=1"
    rows, columns = (torch.linspace(0, side - 1, grid).long() for side in size)
    moved = in_pixels(name, uniforms(name, 1500), size)[:, rows][:, :, columns]
    deviation = moved.double().std((0, 1, 2))
    assert deviation.tolist() == pytest.approx([4.1, 4.1], rel=0.05)
    # Neighbours, and both directions, are independent.
    flat = moved.flatten(1).double()
    correlation = np.corrcoef(flat.T.numpy()) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 0.12


def test_images_and_masks_are_scipys() -> None:
    height, width = size = (48, 40)
    name = "elastic:sigma=0.08,grid=4,p=1"
    u = uniforms(name, 10)
    images, target = smooth(10, *size), (smooth(10, *size, 1, seed=1)[:, 0] > 0.5).long()
    changed_images, changed = augment([name], images, target, u)
    x, y = pixel_grid(*size)
    equal = []
    for one, field in enumerate(in_pixels(name, u, size).double().numpy()):
        there = x + (width - 1) / 2 + field[..., 0], y + (height - 1) / 2 + field[..., 1]
        assert np.abs(changed_images[one].numpy() - sampled(images[one], *there)).max() < 1e-4
        equal.append(changed[one].numpy() == nearest(target[one], *there))
    assert np.mean(equal) > 0.9999


def test_the_share_that_is_changed() -> None:
    name = "elastic:p=0.25"
    moved = in_pixels(name, uniforms(name, 4000), (5, 5)).abs().amax((1, 2, 3)) > 0
    assert moved.float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_the_extremes_of_the_uniform_numbers_are_finite() -> None:
    u = torch.tensor([[0.0] * 19, [1 - 2**-24] * 19])
    assert segreg.augmentation("elastic").displacement(u, (8, 8)).isfinite().all()
