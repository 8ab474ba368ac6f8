"""MONAI's networks under segreg's contract: the same output as MONAI, at every size."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import segreg
from segreg.errors import OptionError
from segreg_monai import architectures, plugin

# Narrow networks, and how MONAI builds the same.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "basicunet:features=[4,4,8,8,8,4]": lambda: architectures.BasicUNet(2, 3, 2, (4, 4, 8, 8, 8, 4)),
    "basicunetplusplus:features=[4,4,8,8,8,4]": lambda: architectures.BasicUNetPlusPlus(2, 3, 2, (4, 4, 8, 8, 8, 4)),
    "unet:channels=[4,8,8]": lambda: architectures.UNet(2, 3, 2, (4, 8, 8), (2, 2), num_res_units=2),
    "unet:channels=[4,8],num_res_units=0": lambda: architectures.UNet(2, 3, 2, (4, 8), (2,)),
    "attentionunet:channels=[4,8,8]": lambda: architectures.AttentionUnet(2, 3, 2, (4, 8, 8), (2, 2)),
    "segresnet": lambda: architectures.SegResNet(2, 8, 3, 2),
    "dynunet:filters=[4,8,8,8]": lambda: architectures.DynUNet(
        2, 3, 2, (3, 3, 3, 3), (1, 2, 2, 2), (2, 2, 2), filters=(4, 8, 8, 8)
    ),
    "mednext": lambda: architectures.create_mednext("S", 2, 3, 2),
    "swinunetr:feature_size=12": lambda: architectures.SwinUNETR(3, 2, feature_size=12, spatial_dims=2),
}
# Networks that take odd sizes are not padded.
UNPADDED = ("basicunet", "basicunetplusplus")
every_network = pytest.mark.parametrize("expression", NETWORKS)


def test_every_declared_network_is_tested_here() -> None:
    declared = {record.name for record in plugin.segreg_architectures()}
    assert declared == {expression.partition(":")[0] for expression in NETWORKS}


@every_network
def test_gives_what_monai_gives(expression: str) -> None:
    """At a size that MONAI takes, and at an odd one, padded by hand where MONAI needs it."""
    torch.manual_seed(0)
    model = segreg.build(f"monai/{expression}", num_classes=2).eval()
    peer = NETWORKS[expression]().eval()
    # The peer has what the adapter removed: unused heads, and second names of the same weights.
    missing, unexpected = peer.load_state_dict(model.model.state_dict(), strict=False)
    assert not unexpected
    name = expression.partition(":")[0]
    aliases = {key for key in missing if key.startswith(("input_block", "downsamples", "bottleneck", "upsamples"))}
    heads = {key for key in missing if key.startswith("final_conv_0_")}
    assert set(missing) == {"dynunet": aliases, "basicunetplusplus": heads}.get(name, set())

    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = peer(images)
        expected = expected[-1] if isinstance(expected, list) else expected
        torch.testing.assert_close(model(images), expected)
        odd = images[:, :, :63, :95]
        if name not in UNPADDED:
            padded = peer(F.pad(odd, (0, 1, 0, 1), mode="replicate"))[:, :, :63, :95]
        else:
            padded = peer(odd)
            padded = padded[-1] if isinstance(padded, list) else padded
        torch.testing.assert_close(model(odd), padded)
    assert expected.std() > 1e-3


@every_network
@pytest.mark.parametrize("size", [(32, 32), (33, 50)])
def test_one_image_is_enough_to_learn_from(expression: str, size: tuple[int, int]) -> None:
    model = segreg.build(f"monai/{expression}", in_channels=4, num_classes=3).train()
    logits = model(torch.rand(1, 4, *size))
    assert logits.shape == (1, 3, *size)
    logits.square().mean().backward()
    for where, parameter in model.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("basicunet:features=[4,4]", r"features is \(4, 4\): expected 6 numbers, each 1 or more"),
        ("basicunetplusplus:features=[4,4,4,4,4,0]", r"features is \(4, 4, 4, 4, 4, 0\): expected 6 numbers"),
        ("unet:channels=[4]", r"channels is \(4,\): expected 2 numbers or more, each 1 or more"),
        ("unet:num_res_units=-1", "num_res_units is -1: expected 0 or more"),
        ("attentionunet:channels=[4,1]", r"channels is \(4, 1\): expected 2 numbers or more, each 2 or more"),
        ("segresnet:init_filters=12", "init_filters is 12: expected a multiple of 8"),
        ("dynunet:filters=[4,4]", r"filters is \(4, 4\): expected 3 numbers or more, each 1 or more"),
        ("mednext:variant=XL", r"variant is 'XL'.*: expected 'S' \| 'B' \| 'M' \| 'L'"),
        ("swinunetr:feature_size=0", "feature_size is 0: expected a multiple of 12"),
        ("swinunetr:num_classes=0", "num_classes is 0: expected 1 or more"),
    ],
)
def test_bad_options_are_refused(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segreg.build(f"monai/{expression}")
