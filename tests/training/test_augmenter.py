"""Augmentation of batches: images and masks together, in one resampling, from (seed, epoch, position) alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import segreg
from segreg.registry import registry
from segreg.training.augmenter import Augmenter
from segreg.training.fit import resume
from tests.builtins.augmentations.oracle import augment, smooth
from tests.conftest import Site
from tests.trial import interrupt

GEOMETRIC = ["hflip", "vflip", "rotate90", "affine:shear=10", "zoom", "elastic"]
EVERY = [*GEOMETRIC, "brightness", "contrast", "gamma", "noise"]


def made(names: list[str], seed: int = 0) -> Augmenter:
    return Augmenter([segreg.augmentation(name) for name in names], seed)


def smooth_batch(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Images, and masks of what is bright in their first channel."""
    images = smooth(count, height, width)
    return images, (images[:, 0] > 0.5).long()


def test_without_augmentations_nothing_changes() -> None:
    images, target = smooth_batch(2, 8, 8)
    changed_images, changed = augment([], images, target, torch.zeros(2, 0))
    assert changed_images is images
    assert changed is target


@given(
    names=st.lists(st.sampled_from(GEOMETRIC), min_size=1, max_size=4),
    size=st.sampled_from([(32, 32), (24, 40)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_image_and_mask_are_moved_together(names: list[str], size: tuple[int, int], seed: int) -> None:
    images, target = smooth_batch(6, *size)
    u = made(names, seed).uniforms(1, 6)
    changed_images, changed = augment(names, images, target, u)
    assert changed.dtype == torch.int64
    # A mask is sampled at the nearest pixel, and so at most half a pixel away.
    slope = max(float(images.diff(dim=axis).abs().max()) for axis in (2, 3))
    clear = (changed_images[:, 0] - 0.5).abs() > slope
    assert torch.equal((changed_images[:, 0] > 0.5).long()[clear], changed[clear])
    assert clear.float().mean() > 0.3


@given(
    names=st.lists(st.sampled_from(EVERY), min_size=1, max_size=5),
    channels=st.integers(1, 5),
    size=st.sampled_from([(9, 9), (8, 13), (1, 1), (2, 7)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_masks_get_no_new_values_and_images_stay_in_range(
    names: list[str], channels: int, size: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.tensor([0, 1, 10, 255])[torch.randint(0, 4, (4, *size), generator=generator)]
    images = torch.rand(4, channels, *size, generator=generator)
    before, mask_before = images.clone(), target.clone()
    changed_images, changed = augment(names, images, target, made(names, seed).uniforms(1, 4))
    for mask, changed_mask in zip(target, changed, strict=True):
        assert set(changed_mask.unique().tolist()) <= set(mask.unique().tolist())
    assert changed_images.shape == images.shape
    assert changed_images.dtype == torch.float32
    assert -1e-6 <= changed_images.min() <= changed_images.max() <= 1 + 1e-6
    assert torch.equal(images, before)
    assert torch.equal(target, mask_before)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_ignored_pixels_are_moved_as_any_others(name: str) -> None:
    images, target = smooth_batch(8, 24, 24)
    u = made([name]).uniforms(1, 8)
    _, changed = augment([name], images, target, u)
    _, ignored = augment([name], images, 255 * target, u)
    assert torch.equal(ignored, 255 * changed)
    _, only = augment([name], images, torch.full_like(target, 255), u)
    assert (only == 255).all()


@pytest.mark.parametrize(
    "names",
    [
        ["hflip", "affine"],
        ["affine:p=1", "rotate90"],
        ["zoom:p=1", "affine:p=1,shear=10,degrees=40", "vflip"],
        ["affine:p=1,degrees=90", "affine:p=1,scale=[0.7,1.4]"],
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_one_resampling_is_as_one_after_another(names: list[str], size: tuple[int, int]) -> None:
    images, target = smooth_batch(16, *size)
    # So slow a change that interpolating twice is as good as once.
    y, x = torch.meshgrid(torch.linspace(0, 2, size[0]), torch.linspace(0, 2, size[1]), indexing="ij")
    images = (0.5 + 0.4 * torch.sin(2 * x + y * torch.arange(1, 4)[:, None, None])).expand(16, 3, *size)
    together = made(names)
    u = together.uniforms(1, 16)
    composed, _ = together(images, target, u)
    draws = [segreg.augmentation(name).draws for name in names]
    for name, own in zip(names, u.split(draws, 1), strict=True):
        images, target = augment([name], images, target, own)
    # Reflection at an edge that a later one moves inwards is not that of the whole.
    inside = [slice(side // 4, -(side // 4)) for side in size]
    difference = (composed - images).abs()[:, :, inside[0], inside[1]]
    assert difference.median() < 2e-3
    assert difference.quantile(0.9) < 0.01


@pytest.mark.parametrize("order", [["rotate90", "hflip"], ["vflip", "rotate90"], ["hflip", "rotate90", "vflip"]])
def test_index_operations_are_what_resampling_gives(order: list[str]) -> None:
    images, target = smooth_batch(32, 16, 16)
    u = made(order).uniforms(1, 32)
    exact_images, exact = augment(order, images, target, u)
    # An elastic deformation that displaces nothing.
    still = torch.cat([u, torch.full((32, 19), 0.5)], 1)
    sampled_images, sampled = augment([*order, "elastic:p=0"], images, target, still)
    assert torch.equal(exact, sampled)
    assert torch.allclose(exact_images, sampled_images, atol=1e-5)


def test_images_that_affine_leaves_alone_are_not_resampled() -> None:
    images, target = smooth_batch(64, 20, 20)
    u = made(["affine"]).uniforms(1, 64)
    changed, mask = augment(["affine"], images, target, u)
    left = u[:, 0] >= 0.5
    assert 20 < left.sum() < 44
    assert torch.equal(changed[left], images[left])
    assert torch.equal(mask[left], target[left])
    assert all((changed[~left] != images[~left]).any(3).any(2).any(1))


def test_what_changes_values_comes_after_what_moves_pixels() -> None:
    images, target = smooth_batch(8, 16, 16)
    moved_last = ["brightness:p=1", "affine:p=1"]
    u = made(moved_last).uniforms(1, 8)
    swapped = torch.cat([u[:, 2:], u[:, :2]], 1)
    first, second = augment(moved_last, images, target, u), augment(moved_last[::-1], images, target, swapped)
    assert torch.equal(first[0], second[0])


@given(
    seed=st.integers(0, 2**32 - 1),
    other=st.integers(0, 2**32 - 1),
    epoch=st.integers(1, 10**6),
    batch=st.integers(1, 9),
)
def test_what_is_random_follows_from_seed_epoch_and_position(seed: int, other: int, epoch: int, batch: int) -> None:
    augmenter = made(EVERY, seed)
    images, target = smooth_batch(9, 12, 12)
    u = augmenter.uniforms(epoch, 9)
    assert u.dtype == torch.float32
    assert 0 <= u.min() <= u.max() < 1
    # Fewer images of the same epoch are its first.
    assert torch.equal(made(EVERY, seed).uniforms(epoch, 5), u[:5])
    for changed in (augmenter.uniforms(epoch + 1, 9), made(EVERY, other).uniforms(epoch, 9)):
        assert other == seed or not (changed == u).all(1).any()
    whole_images, whole = augmenter(images, target, u)
    torch.rand(3)
    parts = [augmenter(*part) for part in zip(images.split(batch), target.split(batch), u.split(batch), strict=True)]
    parts_images, parts_target = (torch.cat(each) for each in zip(*parts, strict=True))
    assert torch.equal(parts_target, whole)
    assert torch.allclose(parts_images, whole_images, atol=1e-5)


def test_seeds_and_epochs_are_not_correlated() -> None:
    keys = [(seed, epoch) for seed in (0, 1, 2, 4, 2**31, 2**32 - 1) for epoch in (1, 2, 3, 2**16 + 1, 2**17 + 1)]
    rows = np.stack([made(["hflip"], seed).uniforms(epoch, 2000).numpy().ravel() for seed, epoch in keys])
    assert np.abs(np.corrcoef(rows) - np.eye(len(keys))).max() < 0.1


SPY = """
import torch
from segreg import Augmentation, hookimpl

SEEN = []

class Spy:
    '''Notes the numbers that it is given.'''
    draws = 2

    def change(self, images, u):
        SEEN.append(u.clone())
        return images

@hookimpl
def segreg_augmentations():
    return [Augmentation(name="spy", target="spy_plugin:Spy", summary="Notes its numbers")]
"""
SETTINGS: dict[str, Any] = {
    "loss": "bce",
    "data": "lesions:size=32,train=11,valid=2,test=2",
    "size": 32,
    "epochs": 2,
    "augment": "hflip affine spy/spy",
    "device": "cpu",
    "quiet": True,
}
MODEL = "trial/dot"


@pytest.fixture
def seen(site: Site) -> Any:
    """What the augmentation of a plugin was given during training."""
    site.install("spy", SPY)
    registry.cache_clear()
    import spy_plugin  # type: ignore[import-not-found]

    # What is called before there are data.
    segreg.Recipe(augment="spy/spy")
    yield spy_plugin.SEEN
    registry.cache_clear()


def numbers(seen: list[Tensor], images: int) -> Tensor:
    """The numbers of the images trained on, by position, without those of the call before there are data."""
    drawn = torch.cat(seen)[-images:]
    seen.clear()
    return drawn


def test_the_batch_size_does_not_matter(seen: list[Tensor], tmp_path: Path) -> None:
    given_numbers = []
    for batch in (4, 11, 3):
        segreg.fit(MODEL, batch=batch, seed=2, out=tmp_path / str(batch), **SETTINGS)
        given_numbers.append(numbers(seen, 22))
    assert torch.equal(given_numbers[0], given_numbers[1])
    assert torch.equal(given_numbers[0], given_numbers[2])
    assert len(given_numbers[0].unique(dim=0)) == 22
    segreg.fit(MODEL, batch=4, seed=0, out=tmp_path / "other", **SETTINGS)
    assert not torch.equal(numbers(seen, 22), given_numbers[0])


def test_a_resumed_run_gets_the_numbers_it_would_have_had(
    seen: list[Tensor], parts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = segreg.fit(MODEL, **{**SETTINGS, "loss": "trial/fragile"}, batch=4, out=tmp_path / "whole")
    expected = numbers(seen, 22)
    settings = {**SETTINGS, "loss": "trial/fragile", "batch": 4, "checkpoint_every": 2, "out": tmp_path / "broken"}
    broken = interrupt(parts, monkeypatch, 5, MODEL, **settings)
    seen.clear()
    resumed = resume(broken.path, quiet=True)
    # One epoch has three steps, and the last checkpoint was written after the fourth.
    assert torch.equal(numbers(seen, 7), expected[-7:])
    assert (resumed.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_an_augmentation_that_gives_nothing_usable_is_refused_in_one_line(site: Site) -> None:
    source = SPY.replace("return images", "return images[..., 1:]")
    site.install("spy", source)
    registry.cache_clear()
    with pytest.raises(segreg.OptionError, match=re.escape("augmentation spy/spy cannot be used: change returns")):
        segreg.fit(MODEL, **SETTINGS)
    registry.cache_clear()
