"""Tiles against the whole: a pixelwise model gives the same, however an image is cut."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from segreg.prediction.tiles import blended, divide

lengths = st.integers(1, 400)
tiles = st.integers(1, 150).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1)))


@given(lengths, tiles)
def test_every_pixel_counts_once(length: int, cut: tuple[int, int]) -> None:
    tile, overlap = cut
    pieces = divide(length, tile, overlap)
    total = torch.zeros(length)
    for part, weights in pieces:
        assert 0 <= part.start < part.stop <= length
        assert len(weights) == part.stop - part.start <= max(tile, min(length, tile + 31))
        assert (weights >= 0).all()
        total[part] += weights
    torch.testing.assert_close(total, torch.ones(length))
    for (one, _), (next_one, _) in pairwise(pieces):
        assert one.stop - next_one.start >= overlap


def test_weights_of_neighbouring_tiles_fade_to_zero_at_the_cut() -> None:
    (_, left), (_, right) = divide(160, 96, 32)
    assert (left[-8:] == 0).all()
    assert (right[:8] == 0).all()
    assert (left[-24:-8].diff() < 0).all()
    assert (right[8:24].diff() > 0).all()
    # The image ends there, and no other tile covers it.
    assert left[0] == right[-1] == 1


@given(st.integers(1, 90), st.integers(1, 90), tiles, st.integers(1, 5))
def test_tiles_of_a_pixelwise_model_give_the_whole_image(
    height: int, width: int, cut: tuple[int, int], batch: int
) -> None:
    tile, overlap = cut
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 2), dtype=np.uint8)

    def predict(pieces: Tensor) -> Tensor:
        assert len(pieces) <= batch
        values = pieces.float() / 255
        return torch.cat([values, 1 - values.mean(1, keepdim=True)], dim=1)

    strips = list(blended(predict, pixels, tile=tile, overlap=overlap, batch=batch))
    assert [top for top, _ in strips] == list(np.cumsum([0, *(strip.shape[1] for _, strip in strips)])[:-1])
    found = torch.cat([strip for _, strip in strips], dim=1)
    torch.testing.assert_close(found, predict(torch.from_numpy(pixels).permute(2, 0, 1)[None].repeat(1, 1, 1, 1))[0])
