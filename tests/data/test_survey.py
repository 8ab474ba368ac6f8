"""What is counted in the training images, against loops over pixels."""

import numpy as np
import pytest
import torch

from segreg.data.in_memory import InMemory
from segreg.data.split import Data
from segreg.data.survey import mean_and_deviation


def split(seed: int, images: int, values: int) -> InMemory:
    random = np.random.default_rng(seed)
    masks = random.integers(0, values, (images, 5, 4))
    # Most classes are in few images.
    masks[1::2] %= 2
    masks[random.random(masks.shape) < 0.3] = 255
    pixels = random.integers(0, 256, (images, 3, 5, 4)) * np.array([1.0, 0.3, 0.0])[:, None, None]
    names = [str(index) for index in range(images)]
    return InMemory(torch.from_numpy(pixels.astype(np.uint8)), torch.from_numpy(masks.astype(np.uint8)), names)


@pytest.mark.parametrize(("classes", "values"), [(1, 2), (2, 2), (7, 7), (255, 255)])
def test_pixels_of_classes_are_counted_one_by_one(classes: int, values: int) -> None:
    train = split(classes, 35, values)
    data = Data(classes=[str(each) for each in range(classes)], in_channels=3, splits={"train": train})
    pixels, image_pixels = [0] * values, [0] * values
    for mask in train.masks.tolist():
        seen = [value for row in mask for value in row if value != 255]
        for value in seen:
            pixels[value] += 1
        for value in set(seen):
            image_pixels[value] += len(seen)
    assert data.facts == {
        "in_channels": 3,
        "num_classes": classes,
        "class_pixels": tuple(pixels),
        "class_image_pixels": tuple(image_pixels),
    }


def test_mean_and_deviation_are_those_of_all_pixels_of_a_channel() -> None:
    train = split(0, 35, 2)
    mean, deviation = mean_and_deviation(train)
    pixels = train.images.double().numpy() / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std((0, 2, 3)), rtol=1e-12)
