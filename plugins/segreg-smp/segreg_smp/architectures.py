"""The architectures of segmentation_models_pytorch, adapted to images of any size and batches of one."""

from contextlib import nullcontext
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.builtins.architectures.blocks import check_positive, crop, pad_to_stride
from segreg.compat import patch_torchvision, unreachable_hub_skipped
from segreg.errors import did_you_mean
from segreg.plugins import one_line

patch_torchvision()

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]  # noqa: E402
import timm  # noqa: E402

Arch: TypeAlias = Literal[
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "pan",
    "deeplabv3",
    "deeplabv3plus",
    "upernet",
    "segformer",
    "dpt",
]


class SMPModel(nn.Module):
    """A model of segmentation_models_pytorch.

    Images are padded at their lower and right edge to a size that the model takes, and the logits cropped. Where the
    decoder pools an image to a single pixel, as PAN, DeepLab and UPerNet do, a training batch of one image is
    normalised there by the running statistics; smp raises an error.

    Args:
        in_channels: Channels of the image. At least 1.
        num_classes: Channels of the logits: 1 for a binary task, else the number of classes.
        arch: The architecture, by smp's name. Each component sets its own.
        encoder: An encoder of smp, such as `resnet34`, or `tu-` and a model of timm, such as `tu-convnext_tiny`.
        weights: The encoder's pretrained weights, by smp's name, such as `imagenet`; with `tu-` any text selects
            timm's. They are downloaded. `None` starts from random ones.

    Shapes:
        images: float [B, in_channels, H, W], H and W at least 32;  returns: float [B, num_classes, H, W].

    Raises:
        ValueError: an option is out of range, or smp cannot build this architecture on that encoder.

    Reference: Iakubovskii, Segmentation Models Pytorch, 2019.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1,
        arch: Arch,
        encoder: str = "resnet34",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes)
        _check_encoder(encoder)
        model = _built(arch, encoder, weights, in_channels, num_classes)
        _take_single_values(model.decoder)
        self.model = model
        # What segreg compares with the normalisation of a run.
        self.pretrained_moments = _moments(encoder, weights) if weights else None
        # DPT halves the encoder's last map once more, PAN three times.
        self.stride: int = model.encoder.output_stride * (2 if arch == "dpt" else 1)
        self.minimum = 8 if arch == "pan" else 2

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [B, C, H, W], to logits, float [B, K, H, W]."""
        return crop(self.model(pad_to_stride(images, self.stride, minimum=self.minimum)), images)


class _BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that treats a single value per channel as in evaluation: it has no variance to learn."""

    def forward(self, features: Tensor) -> Tensor:
        if self.training and features.numel() == self.num_features:
            return F.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(features)


def _take_single_values(decoder: nn.Module) -> None:
    for parent in list(decoder.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                norm = _BatchNorm(layer.num_features, layer.eps, layer.momentum).to(layer.weight.device)
                norm.load_state_dict(layer.state_dict())
                setattr(parent, name, norm)


def _check_encoder(encoder: str) -> None:
    of_timm = encoder.startswith("tu-")
    # A name of timm may end in a tag, as in `resnet50.a1_in1k`, which is not in the list.
    if not (timm.is_model(encoder[3:]) if of_timm else encoder in smp.encoders.get_encoder_names()):
        names = [f"tu-{name}" for name in timm.list_models()] if of_timm else smp.encoders.get_encoder_names()
        near = did_you_mean(encoder, names)
        raise ValueError(f"encoder is {encoder!r}{near}: expected an encoder of smp, or tu- and a model of timm")


def _moments(encoder: str, weights: str) -> tuple[list[float], list[float]] | None:
    """Return mean and deviation of the images that an encoder was trained on, in [0, 1]; None if that is not known."""
    try:
        with unreachable_hub_skipped():
            settings = smp.encoders.get_preprocessing_params(encoder, weights)
    # They are in a file on the hub.
    except Exception:
        return None
    white = settings["input_range"][1]
    mean, deviation = ([value / white for value in settings[name]] for name in ("mean", "std"))
    return mean, deviation


def _built(arch: Arch, encoder: str, weights: str | None, in_channels: int, num_classes: int) -> Any:
    pretrained = True if weights and encoder.startswith("tu-") else weights
    options = {"dynamic_img_size": True} if arch == "dpt" else {}
    try:
        # Some encoders read the values of tensors while they are built, which the device `meta` does not have.
        with torch.device("cpu"), unreachable_hub_skipped() if weights else nullcontext():
            model = smp.create_model(arch, encoder, pretrained, in_channels, num_classes, **options)
    # What smp, timm and the hub raise has no common base but this.
    except Exception as error:
        raise ValueError(f"smp cannot build {arch} with encoder {encoder!r}: {one_line(error)}") from error
    if arch == "dpt":
        # Its transformer comes with a classification head, which is never called.
        model.encoder.model.prune_intermediate_layers(1, prune_norm=True, prune_head=True)
    return model.to(torch.get_default_device())
