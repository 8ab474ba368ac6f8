"""Splits in memory: reading, resizing, batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from segreg.data.in_memory import InMemory, load_data
from segreg.data.split import Data, Split
from segreg.errors import DataError

CPU = torch.device("cpu")


class Given:
    """A dataset of whatever a test gives."""

    def __init__(self, splits: Mapping[str, Sequence[Any]], classes: Sequence[str] = ("one",)) -> None:
        self.splits, self.classes = splits, classes


class Named(list[Any]):
    names = ("left", "right")


def image(height: int = 6, width: int = 8, channels: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def mask(height: int = 6, width: int = 8, values: Sequence[int] = (0, 1), seed: int = 0) -> Any:
    return np.random.default_rng(seed).choice(np.array(values, np.uint8), (height, width))


def read(
    splits: Mapping[str, Sequence[Any]], size: tuple[int, int] = (6, 8), classes: Sequence[str] = ("one",)
) -> Data:
    return load_data(Given(splits, classes), size, lambda what, done, total: None)


PAIR = (image(), mask())


def test_images_of_the_right_size_are_unchanged() -> None:
    samples = [(image(seed=n), mask(values=(0, 1, 255), seed=n)) for n in range(70)]
    data = read({"train": samples, "valid": samples[:3], "test": [], "holdout": samples[:2]})
    images = data.splits["train"]
    assert len(images) == 70
    for number, (pixels, classes) in enumerate(samples):
        assert np.array_equal(images.images[number].permute(1, 2, 0), pixels)
        assert np.array_equal(images.masks[number], classes)
    assert list(images.names) == [str(number) for number in range(70)]
    assert list(data.splits) == ["train", "valid", "holdout"]
    assert (data.in_channels, data.num_classes, data.classes) == (3, 1, ("one",))


def test_a_split_that_has_names_keeps_them() -> None:
    assert list(read({"train": Named([PAIR, PAIR]), "valid": [PAIR]}).splits["train"].names) == ["left", "right"]


@pytest.mark.parametrize("size", [(3, 4), (7, 5), (31, 33)])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_resizing_keeps_the_channels_and_gives_masks_no_new_values(size: tuple[int, int], channels: int) -> None:
    values = (0, 3, 7, 255)
    pair = (image(20, 26, channels), mask(20, 26, values))
    images = read({"train": [pair], "valid": [pair]}, size, [str(n) for n in range(8)]).splits["train"]
    assert images.images.shape == (1, channels, *size)
    assert images.masks.shape == (1, *size)
    assert set(images.masks.unique().tolist()) <= set(values)


def test_an_image_is_downsampled_by_averaging_and_its_mask_by_nearest_neighbour() -> None:
    pixels = np.zeros((8, 8, 1), np.uint8)
    pixels[::2] = 200  # finer than what the smaller image can show
    classes = np.repeat([[0] * 4 + [1] * 4], 8, axis=0).astype(np.uint8)
    images = read({"train": [(pixels, classes)], "valid": [(pixels, classes)]}, (2, 2)).splits["train"]
    assert (images.images.float() - 100).abs().max() < 20
    assert images.masks.tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize(
    ("splits", "classes", "message"),
    [
        ({"train": [PAIR]}, ["one"], ["split 'valid'", "'train' and 'valid'"]),
        ({"train": [], "valid": [PAIR]}, ["one"], ["split 'train'"]),
        ({"train": [PAIR], "valid": [PAIR]}, [], ["names no class"]),
        (
            {"train": [PAIR, (image() / 255, mask())], "valid": [PAIR]},
            ["one"],
            ["train image '1'", "float64", "uint8"],
        ),
        ({"train": Named([PAIR, (image()[..., 0], mask())]), "valid": [PAIR]}, ["one"], ["'right'", "[6, 8]"]),
        ({"train": [PAIR], "valid": [(image(), mask().astype(np.int64))]}, ["one"], ["valid image '0'", "int64"]),
        ({"train": [(image(), mask(6, 7))], "valid": [PAIR]}, ["one"], ["[6, 8, 3]", "[6, 7]"]),
        ({"train": [(image(), mask(values=(0, 2)))], "valid": [PAIR]}, ["one"], ["value 2", "0 to 1", "255"]),
        ({"train": [(image(), mask(values=(0, 3)))], "valid": [PAIR]}, ["a", "b", "c"], ["value 3", "0 to 2"]),
        ({"train": [PAIR, (image(channels=1), mask())], "valid": [PAIR]}, ["one"], ["'1' has 1 channels", "have 3"]),
        ({"train": [PAIR], "valid": [(image(channels=4), mask())]}, ["one"], ["'train': 3", "'valid': 4"]),
    ],
)
def test_what_breaks_the_contract_is_named(splits: Any, classes: Sequence[str], message: list[str]) -> None:
    with pytest.raises(DataError) as error:
        read(splits, classes=classes)
    assert "\n" not in str(error.value)
    for part in message:
        assert part in str(error.value)


def test_progress_is_reported_up_to_the_last_image() -> None:
    told = []
    load_data(Given({"train": [PAIR] * 40, "valid": [PAIR]}), (6, 8), lambda *what: told.append(what))
    assert told[-1] == ("reading valid", 1, 1)
    assert ("reading train", 40, 40) in told
    assert len(told) > 2


def random_images(count: int = 7) -> InMemory:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 4, 5), generator=generator, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count)
    return InMemory(images, torch.arange(count, dtype=torch.uint8)[:, None, None].expand(count, 4, 5), ["x"] * count)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_hold_each_image_once_with_its_mask(size: int) -> None:
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    batches = list(random_images().batches(size, CPU, order))
    assert [len(images) for images, _ in batches] == [len(part) for part in order.split(size)]
    seen = []
    for images, target in batches:
        assert images.dtype == torch.float32
        assert target.dtype == torch.int64
        seen += target[:, 0, 0].tolist()
        assert (images[:, 0, 0, 0] * 255).round().tolist() == target[:, 0, 0].tolist()
    assert seen == order.tolist()


def test_without_an_order_batches_follow_the_images_and_are_scaled_to_one() -> None:
    images = torch.cat([images for images, _ in random_images().batches(2, CPU)])
    assert torch.equal(images, random_images().images.float() / 255)


def test_selected_images_come_with_their_masks_in_the_form_of_a_dataset() -> None:
    kept: Split = random_images()
    images, masks = kept.take([4, 0, 4])
    assert images.shape == (3, 4, 5, 3)
    assert images[:, 0, 0, 0].tolist() == masks[:, 0, 0].tolist() == [4, 0, 4]
    assert [len(each) for each in kept.take([])] == [0, 0]


def test_a_dataset_of_more_classes_than_masks_can_hold_is_refused() -> None:
    names = [str(number) for number in range(256)]
    with pytest.raises(DataError, match="names 256 classes: expected 255 at most"):
        read({"train": [PAIR], "valid": [PAIR]}, classes=names)
