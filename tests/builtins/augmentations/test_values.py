"""Brightness, contrast, gamma and noise against NumPy, pixel by pixel."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import segreg
from segreg.builtins.augmentations.common import normal_field
from tests.builtins.augmentations.oracle import augment, uniforms

VALUES = ["brightness", "contrast", "gamma", "noise"]


def expected(name: str, image: Any, u: Any) -> Any:
    """The image that NumPy makes of an image, all of whose options are at their defaults but for p=0.6."""
    if u[0] >= 0.6:
        return image
    at = 2 * u[1] - 1
    match name:
        case "brightness":
            image = image + 0.2 * at
        case "contrast":
            image = image.mean() + (1 + 0.2 * at) * (image - image.mean())
        case "gamma":
            image = image ** (1.5**at)
    return np.clip(image, 0, 1)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma"])
def test_is_numpys(name: str, channels: int) -> None:
    images = torch.rand(40, channels, 6, 7, generator=torch.Generator().manual_seed(0))
    u = uniforms(name, 40)
    target = torch.zeros(40, 6, 7).long()
    changed, mask = augment([f"{name}:p=0.6"], images, target, u)
    assert mask is target
    for image, one, row in zip(changed.numpy(), images.double().numpy(), u.double().numpy(), strict=True):
        assert np.abs(image - expected(name, one, row)).max() < 1e-6


def test_noise_has_the_deviation_that_was_drawn_and_differs_between_images() -> None:
    images = torch.full((50, 3, 64, 64), 0.5)
    u = uniforms("noise", 50)
    changed, _ = augment(["noise:sigma=0.1,p=0.7"], images, torch.zeros(50, 64, 64).long(), u)
    added = (changed - images).double()
    drawn = 0.1 * u[:, 1] * (u[:, 0] < 0.7)
    assert added.std((1, 2, 3)).tolist() == pytest.approx(drawn.tolist(), rel=0.03, abs=1e-6)
    assert (added.std((1, 2, 3)) == 0).float().mean().item() == pytest.approx(0.3, abs=0.15)
    assert len({tuple(row.flatten()[:8].tolist()) for row in added[u[:, 0] < 0.7]}) == int((u[:, 0] < 0.7).sum())


@pytest.mark.parametrize("name", VALUES)
def test_the_share_that_is_changed(name: str) -> None:
    images = torch.rand(3000, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    changed, _ = augment([f"{name}:p=0.2"], images, torch.zeros(3000, 3, 3).long(), uniforms(name, 3000))
    share = ((changed - images).abs().amax((1, 2, 3)) > 1e-6).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.03)


@given(
    name=st.sampled_from(VALUES),
    channels=st.integers(1, 5),
    seed=st.integers(0, 2**20),
    u=st.lists(st.floats(0, 1 - 2**-24, width=32), min_size=3, max_size=3),
)
def test_images_stay_in_range_and_are_not_modified(name: str, channels: int, seed: int, u: list[float]) -> None:
    images = torch.rand(2, channels, 4, 5, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    before = images.clone()
    component = segreg.augmentation(f"{name}:p=1")
    changed = component.change(images, torch.tensor([u, u])[:, : component.draws])
    assert torch.equal(images, before)
    assert changed.dtype == torch.float32
    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 1


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 255, 257)])
def test_the_numbers_of_a_field_are_normally_distributed(shape: tuple[int, ...]) -> None:
    # Numbers next to each other, and images whose own numbers are.
    u = torch.tensor([0, 2**-24, 0.25, 0.5, 0.5 + 2**-24, 1 - 2**-24])
    fields = normal_field(u, shape).double().numpy()
    for field in fields:
        values = field.ravel()
        assert abs(values.mean()) < 4 / len(values) ** 0.5
        assert values.std() == pytest.approx(1, abs=4 / len(values) ** 0.5)
        assert abs(stats.kurtosis(values)) < 0.1
        assert stats.kstest(values, "norm").pvalue > 1e-3


def test_the_numbers_of_a_field_are_not_correlated() -> None:
    u = torch.tensor([0, 2**-24, 2**-23, 0.5, 0.5 + 2**-24, 0.9])
    fields = normal_field(u, (4, 96, 96)).double().numpy()
    limit = 5 / (96 * 96) ** 0.5

    def correlation(one: Any, other: Any) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    for field in fields:
        assert abs(correlation(field[:, :, 1:], field[:, :, :-1])) < limit
        assert abs(correlation(field[:, 1:], field[:, :-1])) < limit
        # The squares too: cosine and sine of one radius are in the halves of a field, two channels apart.
        for step in (1, 2, 3):
            assert abs(correlation(field[step:], field[:-step])) < limit
            assert abs(correlation(field[step:] ** 2, field[:-step] ** 2)) < limit
    for first in range(len(fields)):
        for second in range(first):
            assert abs(correlation(fields[first], fields[second])) < limit


def test_a_field_follows_from_its_own_number_alone() -> None:
    u = torch.tensor([0.1, 0.7, 0.3])
    together = normal_field(u, (3, 5, 7))
    assert torch.equal(together[1:2], normal_field(u[1:2], (3, 5, 7)))
    assert torch.equal(together, normal_field(u, (3, 5, 7)))
