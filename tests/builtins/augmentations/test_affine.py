"""Affine maps against kornia and SciPy."""

import math
from functools import partial
from typing import Any

import kornia
import numpy as np
import pytest
import torch

import segreg
from tests.builtins.augmentations.oracle import augment, nearest, pixel_grid, sampled, smooth, uniforms

NAME = "affine:degrees=60,translate=0.2,scale=[0.6,1.7],shear=25,p=0.7"


def drawn(u: Any) -> tuple[Any, Any, Any, Any]:
    """Rotation and shear in degrees, scale, and translation as a share, of the options above."""
    u = u.double().numpy()
    return 120 * u[:, 1] - 60, 50 * u[:, 2] - 25, 0.6 + 1.1 * u[:, 3], 0.4 * u[:, 4:6] - 0.2


@pytest.mark.parametrize("size", [(64, 64), (40, 64)])
def test_images_and_masks_are_kornias(size: tuple[int, int]) -> None:
    height, width = size
    u = uniforms("affine", 40)
    images, target = smooth(40, *size), (smooth(40, *size, 1, seed=1)[:, 0] > 0.5).long()
    changed_images, changed = augment(["affine:degrees=60,translate=0.2,scale=[0.6,1.7],p=1"], images, target, u)
    angle, _, scale, share = (torch.from_numpy(each).float() for each in drawn(u))
    centre = torch.tensor([[(width - 1) / 2, (height - 1) / 2]]).repeat(40, 1)
    shift, scale = share * torch.tensor([width, height]), scale[:, None].repeat(1, 2)
    # Its own angle points the other way.
    matrix = kornia.geometry.get_affine_matrix2d(shift, centre, scale, -angle)[:, :2]
    warp = partial(kornia.geometry.warp_affine, M=matrix, dsize=size, padding_mode="reflection", align_corners=False)
    assert (changed_images - warp(images, mode="bilinear")).abs().max() < 1e-4
    assert (changed == warp(target[:, None].float(), mode="nearest")[:, 0]).float().mean() > 0.9999


@pytest.mark.parametrize("size", [(48, 48), (40, 64), (64, 33)])
def test_images_and_masks_are_scipys(size: tuple[int, int]) -> None:
    height, width = size
    u = uniforms("affine", 30)
    images, target = smooth(30, *size), (255 * (smooth(30, *size, 1, seed=1)[:, 0] > 0.5)).long()
    changed_images, changed = augment([NAME], images, target, u)
    x, y = pixel_grid(*size)
    equal = []
    for one, (angle, lean, scale, share) in enumerate(zip(*drawn(u), strict=True)):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        # What is seen: sheared, rotated counter-clockwise with y pointing down, and scaled.
        seen = scale * np.array([[cos, sin], [-sin, cos]]) @ np.array([[1, math.tan(math.radians(lean))], [0, 1]])
        if u[one, 0] >= 0.7:
            seen, share = np.eye(2), np.zeros(2)
        shifted = np.stack([x - share[0] * width, y - share[1] * height])
        from_x, from_y = np.einsum("ij,jhw->ihw", np.linalg.inv(seen), shifted)
        there = from_x + (width - 1) / 2, from_y + (height - 1) / 2
        assert np.abs(changed_images[one].numpy() - sampled(images[one], *there)).max() < 1e-4
        equal.append(changed[one].numpy() == nearest(target[one], *there))
    assert np.mean(equal) > 0.9999


def test_the_share_that_is_changed_and_the_ranges() -> None:
    u = uniforms("affine", 4000)
    matrix = segreg.augmentation("affine:degrees=30,translate=0.1,scale=[0.5,2],p=0.3").matrix(u, (32, 64))
    changed = (matrix != torch.eye(3)).any((1, 2))
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    # The determinant is the inverse of the area's; the angle is that of a step along x, in pixels.
    scale = torch.linalg.det(matrix[changed, :2, :2]) ** -0.5
    angle = torch.rad2deg(torch.atan2(matrix[changed, 1, 0] / 2, matrix[changed, 0, 0]))
    assert (scale.min().item(), scale.max().item()) == pytest.approx((0.5, 2), abs=0.02)
    assert (angle.min().item(), angle.max().item()) == pytest.approx((-30, 30), abs=0.5)


def test_an_image_is_reflected_at_its_edges() -> None:
    images = torch.arange(8.0).view(1, 1, 1, 8).repeat(1, 1, 8, 1) / 8
    u = torch.tensor([[0.0, 0.5, 0.5, 0.5, 1.0, 0.5]])
    changed, mask = augment(["affine:translate=0.5,p=1"], images, (8 * images[:, 0]).long(), u)
    expected = [3, 2, 1, 0, 0, 1, 2, 3]
    assert torch.allclose(8 * changed[0, 0], torch.tensor(expected).float().expand(8, 8), atol=1e-4)
    assert mask[0, 4].tolist() == expected
