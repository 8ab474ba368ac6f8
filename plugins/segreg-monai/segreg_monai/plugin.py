"""The components named monai/..."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Loss


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="basicunet",
            target="segreg_monai.architectures:basicunet",
            summary="U-Net with instance normalisation and leaky ReLU",
        ),
        Architecture(
            name="basicunetplusplus",
            target="segreg_monai.architectures:basicunetplusplus",
            summary="U-Net with nested, dense skip connections",
        ),
        Architecture(
            name="unet",
            target="segreg_monai.architectures:unet",
            summary="U-Net of residual units with strided convolutions",
        ),
        Architecture(
            name="attentionunet",
            target="segreg_monai.architectures:attentionunet",
            summary="U-Net with attention gates on the skip connections",
        ),
        Architecture(
            name="segresnet",
            target="segreg_monai.architectures:segresnet",
            summary="Large residual encoder, small decoder",
        ),
        Architecture(
            name="dynunet",
            target="segreg_monai.architectures:dynunet",
            summary="The U-Net of nnU-Net",
        ),
        Architecture(
            name="mednext",
            target="segreg_monai.architectures:mednext",
            summary="U-Net of ConvNeXt blocks",
        ),
        Architecture(
            name="swinunetr",
            target="segreg_monai.architectures:swinunetr",
            summary="Swin transformer encoder, convolutional decoder",
        ),
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    """Declare the losses."""
    return [
        Loss(
            name="dice",
            target="segreg_monai.losses:dice",
            summary="Dice, averaged over images and all classes",
        ),
        Loss(
            name="jaccard",
            target="segreg_monai.losses:dice",
            options={"jaccard": True},
            summary="Jaccard, averaged over images and all classes",
            reference="Rahman and Wang, Optimizing Intersection-over-Union, 2016",
        ),
        Loss(
            name="generalizeddice",
            target="segreg_monai.losses:generalizeddice",
            summary="Dice of all classes together, small ones weighted up",
        ),
        Loss(
            name="tversky",
            target="segreg_monai.losses:tversky",
            summary="Tversky, averaged over images and all classes",
        ),
        Loss(
            name="focal",
            target="segreg_monai.losses:Focal",
            summary="Focal loss, averaged over pixels and classes",
        ),
        Loss(
            name="dicece",
            target="segreg_monai.losses:dicece",
            summary="Dice plus cross-entropy",
        ),
        Loss(
            name="dicefocal",
            target="segreg_monai.losses:dicefocal",
            summary="Dice plus focal loss",
        ),
    ]
