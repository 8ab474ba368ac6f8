"""Any backbone with any size of image: feature maps, padding, gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import segreg
from segreg.errors import OptionError
from segreg_timm.backbone import Backbone

# The smallest or nearly smallest member of each family, and the model named in the issue.
FAMILIES = [
    "coat_tiny",
    "convnext_atto",
    "convmixer_1024_20_ks9_p14",
    "cs3darknet_focus_s",
    "darknet17",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla46x_c",
    "edgenext_xx_small",
    "efficientformerv2_s0",
    "efficientnet_lite0",
    "efficientvit_b0",
    "efficientvit_m0",
    "ese_vovnet19b_slim_dw",
    "eva02_tiny_patch14_224",
    "fasternet_t0",
    "fastvit_t8",
    "ghostnet_050",
    "halonet_h1",
    "hgnetv2_b0",
    "hrnet_w18_small",
    "inception_next_atto",
    "inception_v3",
    "lcnet_035",
    "levit_128s",
    "mambaout_femto",
    "maxvit_pico_rw_256",
    "mobilenetv3_small_050",
    "mobileone_s1",
    "mobilevit_xxs",
    "nf_regnet_b0",
    "pit_ti_224",
    "poolformerv2_s12",
    "pvt_v2_b0",
    "regnetx_002",
    "repghostnet_050",
    "repvit_m1",
    "resnet18",
    "resnetv2_18",
    "resnext50_32x4d",
    "rexnet_100",
    "selecsls42",
    "skresnet18",
    "starnet_s050",
    "swin_tiny_patch4_window7_224",
    "tiny_vit_5m_224",
    "vgg11_bn",
    "vit_tiny_patch16_224",
]
# The strides of the feature maps, and the size that an image of 221x150 pixels is padded or resized to.
PYRAMIDS = {
    "resnet18": ((2, 4, 8, 16, 32), (224, 160)),
    "vgg11": ((1, 2, 4, 8, 16, 32), (224, 160)),
    "convnext_atto": ((4, 8, 16, 32), (224, 160)),
    "mobilenetv3_small_050": ((2, 4, 8, 16, 32), (224, 160)),
    "swin_tiny_patch4_window7_224": ((4, 8, 16, 32), (224, 160)),
    "levit_128s": ((16, 32), (224, 224)),
    "vit_tiny_patch16_224": ((4, 8, 16), (224, 160)),
    "eva02_tiny_patch14_224": ((3.5, 7, 14), (224, 154)),
}


def random_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_learns_from_images_of_an_odd_size(name: str) -> None:
    torch.manual_seed(0)
    model = segreg.build("timm/unet:width=4", backbone=name, num_classes=2)
    logits = model(random_images(2, 3, 33, 50))
    assert logits.shape == (2, 2, 33, 50)
    logits.square().mean().backward()
    for where, parameter in model.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
    tensors = [tensor.data_ptr() for tensor in model.state_dict().values() if tensor.numel()]
    assert len(set(tensors)) == len(tensors), "a tensor has two names"


@pytest.mark.parametrize("name", PYRAMIDS)
def test_feature_maps_have_the_size_and_channels_that_are_declared(name: str) -> None:
    strides, (height, width) = PYRAMIDS[name]
    backbone = Backbone(name, pretrained=False, in_channels=3).eval()
    assert backbone.strides == strides
    with torch.no_grad():
        fitted = backbone.fit(random_images(1, 3, 221, 150))
        features = backbone(fitted)
    assert fitted.shape == (1, 3, height, width)
    assert [tuple(feature.shape) for feature in features] == [
        (1, channels, height / stride, width / stride)
        for channels, stride in zip(backbone.channels, strides, strict=True)
    ]


def test_a_plain_transformer_gives_thirds_of_its_blocks() -> None:
    backbone = Backbone("test_vit", pretrained=False, in_channels=3).eval()
    seen: list[Tensor] = []
    for block in backbone.model.blocks:
        block.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        features = backbone(random_images(1, 3, 64, 96))
    assert len(seen) == 6
    for feature, block, scale in zip(features, (1, 3, 5), (4, 2, 1), strict=True):
        tokens = seen[block][:, -24:].transpose(1, 2).unflatten(2, (4, 6))
        torch.testing.assert_close(feature, F.interpolate(tokens, scale_factor=scale, mode="bilinear"))


@pytest.mark.parametrize(
    ("name", "stride"), [("timm/unet:width=4", 32), ("timm/fpn:width=8", 32), ("timm/deeplabv3plus:width=8", 16)]
)
def test_what_does_not_divide_is_padded_by_repeating_the_edge(name: str, stride: int) -> None:
    model = segreg.build(name, backbone="test_resnet").eval()
    images = random_images(1, 3, 45, 71)
    below, right = -45 % stride, -71 % stride
    padded = torch.tensor(np.pad(images.numpy(), ((0, 0), (0, 0), (0, below), (0, right)), mode="edge"))
    with torch.no_grad():
        torch.testing.assert_close(model(images), model(padded)[:, :, :45, :71])


def test_a_backbone_of_one_size_sees_every_image_at_that_size() -> None:
    model = segreg.build("timm/unet:backbone=levit_128s,width=4").eval()
    images = random_images(1, 3, 448, 100)
    with torch.no_grad():
        at_its_size = model(F.interpolate(images, size=(224, 224), mode="bilinear"))
        torch.testing.assert_close(model(images), F.interpolate(at_its_size, size=(448, 100), mode="bilinear"))


def test_depth_leaves_out_what_lies_below() -> None:
    shallow, deep = (segreg.build("timm/unet", backbone="test_resnet", depth=depth) for depth in (3, 5))
    assert shallow.encoder.strides == (2, 4, 8)
    assert deep.encoder.strides == (2, 4, 8, 16, 32)
    assert not any(".layer3." in name or ".layer4." in name for name, _ in shallow.named_parameters())


def test_a_backbone_that_can_is_dilated_for_deeplab_and_the_rates_follow_its_stride() -> None:
    rates = {}
    for name in ("test_resnet", "swin_tiny_patch4_window7_224"):
        model = segreg.build("timm/deeplabv3plus:width=8", backbone=name)
        layers = [layer for layer in model.parallel.modules() if isinstance(layer, nn.Conv2d)]
        rates[model.encoder.strides[-1]] = [layer.dilation[0] for layer in layers]
        # Those of the last stage.
        assert model.encoder.channels[-1] == {"test_resnet": 96}.get(name, 768)
    assert rates == {16: [1, 6, 12, 18], 32: [1, 3, 6, 9]}


def test_the_unet_is_as_large_as_that_of_smp() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    peer = smp.Unet("resnet18", encoder_weights=None)
    ours = segreg.build("timm/unet:backbone=resnet18")

    def size(model: nn.Module, head: nn.Module) -> int:
        return sum(each.numel() for each in model.parameters()) - sum(each.numel() for each in head.parameters())

    assert size(ours, ours.head) == size(peer, peer.segmentation_head)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("timm/unet:backbone=resnext50_32x4", "backbone is 'resnext50_32x4' (did you mean 'resnext50_32x4d' or "),
        ("timm/fpn:backbone=resnet18.a1", "(did you mean 'resnet18.a3_in1k' or "),
        ("timm/fpn:backbone=zzz", "backbone is 'zzz': expected one of timm.list_models()"),
        ("timm/unet:backbone=levit_128s,depth=3", "'levit_128s' has features of stride 16, 32, 64, and none up to "),
        ("timm/unet:depth=0", "depth is 0: expected from 1 to 6"),
        ("timm/unet:width=0", "width is 0"),
        ("timm/unet:in_channels=0", "in_channels is 0"),
        ("timm/unet:num_classes=0", "num_classes is 0"),
        ("timm/fpn:width=7", "width is 7: expected an even number from 2 up"),
        ("timm/deeplabv3plus:width=0", "width is 0"),
    ],
)
def test_a_bad_option_is_reported_in_one_line(expression: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        segreg.build(expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
