"""Random resized crops."""

import numpy as np
import pytest
import torch

import segreg
from tests.builtins.augmentations.oracle import augment, pixel_grid, sampled, smooth, uniforms


def test_a_part_is_scaled_to_the_size_of_the_image() -> None:
    height, width = size = (40, 64)
    images, u = smooth(20, *size), uniforms("zoom", 20)
    changed, _ = augment(["zoom:area=[0.2,0.6],ratio=[0.5,2],p=1"], images, torch.zeros(20, *size).long(), u)
    x, y = pixel_grid(*size)
    for one, (_, of_area, of_ratio, of_x, of_y) in enumerate(u.double().tolist()):
        area, ratio = 0.2 + 0.4 * of_area, 0.5 * 4**of_ratio
        wide, high = min(1, (area * ratio) ** 0.5), min(1, (area / ratio) ** 0.5)
        left, top = (1 - wide) * of_x * width, (1 - high) * of_y * height
        there = left + (x + width / 2) * wide - 0.5, top + (y + height / 2) * high - 0.5
        assert np.abs(changed[one].numpy() - sampled(images[one], *there)).max() < 1e-4


def test_nothing_from_outside_the_image_is_seen_and_areas_are_in_their_range() -> None:
    u = uniforms("zoom", 4000)
    matrix = segreg.augmentation("zoom:area=[0.3,0.7],p=0.4").matrix(u, (32, 48))
    corners = matrix @ torch.tensor([[-1.0, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    assert corners[:, :2].abs().max() <= 1 + 1e-6
    changed = (matrix != torch.eye(3)).any((1, 2))
    area = torch.linalg.det(matrix[changed])
    assert changed.float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert (area.min().item(), area.max().item()) == pytest.approx((0.3, 0.7), abs=0.01)
