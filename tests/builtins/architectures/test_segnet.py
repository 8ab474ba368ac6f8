"""SegNet and SegNet-Basic against an implementation in NumPy."""

import numpy as np
import pytest
import torch

import segreg
from tests.builtins.architectures import oracle


@pytest.mark.parametrize(("width", "size"), [(8, (32, 48)), (5, (37, 50)), (1, (33, 32))])
def test_segnet_basic_agrees_with_numpy(width: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model, weights = oracle.randomized(segreg.build("segnet-basic", width=width, in_channels=2, num_classes=3))
    images = np.random.default_rng(0).random((2, 2, *size))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    np.testing.assert_allclose(logits, oracle.segnet_basic(images, weights), rtol=1e-9, atol=1e-9 * abs(logits).max())


@pytest.mark.parametrize("width", [1, 5, 8])
def test_segnet_agrees_with_numpy(width: int) -> None:
    torch.manual_seed(0)
    model, weights = oracle.randomized(segreg.build("segnet", width=width, num_classes=2))
    images = np.random.default_rng(0).random((1, 3, 32, 50))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    np.testing.assert_allclose(logits, oracle.segnet(images, weights), rtol=1e-9, atol=1e-9 * abs(logits).max())


def test_unpooling_puts_every_value_where_its_maximum_was() -> None:
    """With the oracle's own functions, on an image small enough to read."""
    x = np.array([[[[1.0, 2, 5, 4], [3, 0, 6, 7]]]])
    places = oracle.quarters(x).argmax(-1)
    assert places.tolist() == [[[[2, 3]]]]
    assert oracle.unpooled(np.array([[[[10.0, 20]]]]), places).tolist() == [[[[0, 0, 0, 0], [10, 0, 0, 20]]]]
