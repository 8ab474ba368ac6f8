import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from segreg.builtins.architectures.blocks import crop, max_unpool, pad_to_stride

sides = st.integers(1, 150)
strides = st.sampled_from([2, 4, 8, 16, 32])


@given(sides, sides, strides, st.sampled_from([1, 2]))
@example(64, 32, 16, 2)
@example(32, 32, 32, 1)
@example(32, 32, 32, 2)
def test_padding_repeats_the_edge_no_more_than_needed(height: int, width: int, stride: int, minimum: int) -> None:
    images = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    padded = pad_to_stride(images, stride, minimum=minimum)
    for side, size in zip(padded.shape[2:], (height, width), strict=True):
        assert side % stride == 0
        assert side >= minimum * stride
        assert side - size < stride or side == minimum * stride
    down, right = padded.shape[2] - height, padded.shape[3] - width
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), (0, down), (0, right)), mode="edge")
    assert np.array_equal(padded.numpy(), expected)
    assert torch.equal(crop(padded, images), images)


@given(st.integers(2, 6), st.integers(2, 6), strides)
def test_sizes_that_already_fit_are_not_padded(rows: int, columns: int, stride: int) -> None:
    images = torch.rand(1, 1, rows * stride, columns * stride)
    assert torch.equal(pad_to_stride(images, stride), images)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_unpooling_and_its_gradient_match_torch(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 6, 10).contiguous(memory_format=layout)
    values, positions = F.max_pool2d(images, 2, return_indices=True)
    weights = torch.randn(images.shape)
    results = []
    for unpool in (max_unpool, lambda values, positions: F.max_unpool2d(values, positions, 2)):
        leaf = values.detach().clone().requires_grad_()
        unpooled = unpool(leaf, positions)
        (unpooled * weights).sum().backward()
        results.append((unpooled.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert results[0][0].is_contiguous(memory_format=layout)
    doubles = values.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda each: max_unpool(each, positions), doubles)
