"""Random changes to images and masks."""

from typing import Any

import pytest
import torch

from segreg.training.augmentation import Augmentation


def discs(count: int = 32, height: int = 32, width: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that show their own masks: a disc off the centre, of 1 on 0."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    target = (((y - 10) ** 2 + (x - 14) ** 2) < 49).long().expand(count, height, width).clone()
    return target.float().unsqueeze(1).repeat(1, 3, 1, 1) * 0.5 + 0.25, target


@pytest.mark.parametrize("change", ["hflip", "vflip"])
def test_a_flip_is_one_of_the_two_images_exactly(change: Any) -> None:
    torch.manual_seed(0)
    images, target = discs()
    axis = {"hflip": 2, "vflip": 1}[change]
    changed_images, changed = Augmentation([change])(images, target)
    flipped = [torch.equal(one, target[0].flip(axis - 1)) for one in changed]
    kept = [torch.equal(one, target[0]) for one in changed]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 0 < sum(flipped) < len(flipped)
    assert torch.allclose(changed_images[:, 0], changed.float() * 0.5 + 0.25)


def test_rotation_transforms_an_image_and_its_mask_together() -> None:
    torch.manual_seed(0)
    images, target = discs()
    changed_images, changed = Augmentation(["affine"])(images, target)
    assert changed.dtype == torch.int64
    assert sum(not torch.equal(one, target[0]) for one in changed) > 8
    # Except for pixels interpolated between the two classes, image and mask agree.
    shown = (changed_images[:, 0] - 0.25) / 0.5
    assert ((shown - changed).abs() < 0.55).float().mean() > 0.999
    agree = (shown.round() == changed).float().mean()
    assert agree > 0.99
    # No black corners: what enters from outside is the reflected image.
    assert changed_images.min() >= 0.25 - 1e-4


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_masks_get_no_new_values_and_all_changes_take_any_channels(channels: int) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([0, 1, 10, 255])[torch.randint(0, 4, (8, 11, 7), generator=generator)]
    images = torch.rand(8, channels, 11, 7, generator=generator)
    before = images.clone()
    changed_images, changed = Augmentation(["hflip", "vflip", "affine"])(images, target)
    assert set(changed.unique().tolist()) <= {0, 1, 10, 255}
    assert 255 in changed
    assert changed_images.shape == images.shape
    assert changed_images.dtype == torch.float32
    assert torch.equal(images, before)


def test_without_augmentations_images_are_unchanged() -> None:
    images, target = discs(2)
    changed_images, changed = Augmentation([])(images, target)
    assert changed_images is images
    assert changed is target


def test_the_same_seed_gives_the_same_changes() -> None:
    everything = Augmentation(["hflip", "vflip", "affine"])
    first, second, third = ([], [], [])
    for kept, seed in ((first, 1), (second, 1), (third, 2)):
        torch.manual_seed(seed)
        kept += everything(*discs(4))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], third[0])
