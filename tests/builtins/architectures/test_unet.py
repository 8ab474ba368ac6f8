"""U-Net's options, against an implementation in NumPy and against their docstrings."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import segreg
from segreg import OptionError
from segreg.builtins.architectures.unet import UNet
from tests.builtins.architectures import oracle

POOLS = ["max", "avg", "conv"]
UPSAMPLES = ["transpose", "nearest", "bilinear"]
NORMS = ["batch", "group", "instance", "none"]


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("pool", "upsample"), list(itertools.product(POOLS, UPSAMPLES)))
def test_agrees_with_numpy(pool: str, upsample: str) -> None:
    torch.manual_seed(0)
    built = segreg.build("unet:width=2,depth=3", pool=pool, upsample=upsample, in_channels=2, num_classes=3)
    model, weights = oracle.randomized(built)
    images = np.random.default_rng(0).random((2, 2, 35, 48))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    expected = oracle.unet(images, weights, depth=3, pool=pool, upsample=upsample)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9 * abs(logits).max())


def test_the_smallest_feature_map_has_two_pixels_per_side() -> None:
    torch.manual_seed(0)
    model, weights = oracle.randomized(segreg.build("unet:width=1,depth=5"))
    images = np.random.default_rng(0).random((1, 3, 32, 40))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    expected = oracle.unet(images, weights, depth=5, pool="max", upsample="transpose")
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9 * abs(logits).max())


@given(
    st.integers(32, 99),
    st.integers(32, 99),
    st.integers(1, 6),
    st.sampled_from(["unet", "unet-upsample", "unet-convpool"]),
)
@settings(max_examples=40)
def test_takes_any_size_from_32_up(height: int, width: int, depth: int, name: str) -> None:
    model = segreg.build(name, width=2, depth=depth).eval()
    with torch.no_grad():
        logits = model(images(1, 3, height, width))
    assert logits.shape == (1, 1, height, width)
    assert logits.isfinite().all()


@pytest.mark.parametrize(("pool", "upsample", "norm"), list(itertools.product(POOLS, UPSAMPLES, NORMS)))
def test_every_parameter_learns(pool: str, upsample: str, norm: str) -> None:
    torch.manual_seed(0)
    model = segreg.build("unet:width=4,depth=2", pool=pool, upsample=upsample, norm=norm)
    model(images(2, 3, 32, 36)).square().mean().backward()
    for where, parameter in model.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
        assert parameter.grad.any(), where


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("depth", range(1, 7))
def test_every_depth_learns_from_one_small_image(depth: int, norm: str) -> None:
    torch.manual_seed(0)
    model = segreg.build("unet:width=2", depth=depth, norm=norm)
    logits = model(images(1, 3, 32, 32))
    logits.square().mean().backward()
    assert logits.shape == (1, 1, 32, 32)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert max(layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)) == 2 * 2**depth


@pytest.mark.parametrize(("norm", "layer"), [("group", nn.GroupNorm), ("instance", nn.InstanceNorm2d)])
def test_without_batch_statistics_training_treats_each_image_independently(norm: str, layer: type[nn.Module]) -> None:
    model = segreg.build("unet:width=4,depth=2,pool=conv", norm=norm).train()
    assert sum(isinstance(each, layer) for each in model.modules()) == 12
    batch = images(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(batch)[:1], model(batch[:1]), rtol=1e-4, atol=1e-5)


def test_group_normalisation_has_at_most_32_groups() -> None:
    with torch.device("meta"):
        model = segreg.build("unet:width=24,depth=2,norm=group")
    groups = {layer.num_channels: layer.num_groups for layer in model.modules() if isinstance(layer, nn.GroupNorm)}
    assert groups == {24: 8, 48: 16, 96: 32}


@pytest.mark.parametrize(("preset", "options"), [("upsample", {"upsample": "nearest"}), ("convpool", {"pool": "conv"})])
def test_presets_are_unets_with_other_options(preset: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = segreg.build(f"unet-{preset}:width=4").eval()
    torch.manual_seed(0)
    same = segreg.build("unet:width=4", **options).eval()
    assert type(model) is UNet
    assert torch.equal(model(images(1, 3, 32, 32)), same(images(1, 3, 32, 32)))


def test_dropout_is_active_only_in_training_and_only_at_the_bottom() -> None:
    torch.manual_seed(0)
    model = segreg.build("unet:width=4,depth=2,norm=none,dropout=0.5")
    batch = images(1, 3, 32, 32)
    with torch.no_grad():
        first, second = model(batch), model(batch)
        assert not torch.equal(first, second)
        seen = []
        model.dropout.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
        model(batch)
        ((before, after),) = seen
        assert before.shape == (1, 16, 8, 8)
        dropped = (after == 0) & (before != 0)
        assert 0.4 < dropped.sum() / (before != 0).sum() < 0.6
        torch.testing.assert_close(after[~dropped], 2 * before[~dropped])
        model.eval()
        assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize(
    ("option", "bad", "message"),
    [
        *(("width", bad, "expected 1 or more") for bad in [0, -4]),
        *(("depth", bad, "expected from 1 to 6") for bad in [0, 7, -1]),
        *(("dropout", bad, "expected at least 0 and below 1") for bad in [1.0, -0.1, float("nan"), float("inf")]),
        ("pool", "min", "expected 'max', 'avg' or 'conv'"),
        ("upsample", "area", "expected 'transpose', 'nearest' or 'bilinear'"),
        ("norm", "layer", "expected 'batch', 'group', 'instance' or 'none'"),
    ],
)
def test_bad_options_are_refused(option: str, bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} is {bad!r}: {message}$"):
        UNet(**{option: bad})
    with pytest.raises(OptionError, match=f"^unet: {option} is {bad!r}"):
        segreg.build("unet", **{option: bad})


def test_a_similar_choice_is_suggested() -> None:
    with pytest.raises(OptionError) as caught:
        segreg.build("unet:norm=bacth")
    expected = "unet: norm is 'bacth' (did you mean 'batch'?): expected 'batch' | 'group' | 'instance' | 'none'"
    assert str(caught.value) == expected


def test_can_be_exported_with_any_batch_and_size() -> None:
    torch.manual_seed(0)
    model = segreg.build("unet:width=4,depth=2").eval()
    dim = torch.export.Dim
    exported = torch.export.export(
        model,
        (images(2, 3, 50, 70),),
        dynamic_shapes={"images": {0: dim("batch", min=1, max=64), 2: dim("height", min=32), 3: dim("width", min=32)}},
    ).module()
    for shape in [(1, 3, 32, 32), (2, 3, 50, 70), (5, 3, 33, 128), (3, 3, 64, 41)]:
        batch = images(*shape)
        with torch.no_grad():
            torch.testing.assert_close(exported(batch), model(batch))


def test_the_gradients_of_the_transposed_convolution_match_torch() -> None:
    torch.manual_seed(0)
    ours = segreg.build("unet", width=4, depth=1).upsamples[0]
    nn.init.normal_(ours.bias)
    theirs = nn.ConvTranspose2d(8, 4, 2, stride=2)
    theirs.load_state_dict(ours.state_dict())
    features = torch.rand(2, 8, 5, 6)
    weighting = torch.rand(2, 4, 10, 12)
    found = []
    for layer in (ours, theirs):
        images = features.clone().requires_grad_()
        upsampled = layer(images)
        (upsampled * weighting).sum().backward()
        found.append((upsampled, images.grad, layer.weight.grad, layer.bias.grad))
    torch.testing.assert_close(*found)
    with torch.no_grad():
        torch.testing.assert_close(ours(features), theirs(features))


def test_running_out_of_memory_is_a_one_line_error() -> None:
    with pytest.raises(OptionError, match=r"^unet needs more memory than available with .*width=10{18}.*: try less$"):
        segreg.build("unet", width=10**18)
