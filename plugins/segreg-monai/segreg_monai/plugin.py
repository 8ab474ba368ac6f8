"""What segreg finds under monai/..."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Loss

_DICE = "Milletari et al., V-Net, 2016, arXiv:1606.04797"
_FOCAL = "Lin et al., Focal Loss for Dense Object Detection, 2017, arXiv:1708.02002"


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="basicunet",
            target="segreg_monai.architectures:basicunet",
            summary="U-Net with instance normalisation and leaky ReLU",
            reference="Falk et al., U-Net: deep learning for cell counting, Nature Methods 16:67, 2019",
        ),
        Architecture(
            name="basicunetplusplus",
            target="segreg_monai.architectures:basicunetplusplus",
            summary="U-Net with nested, dense skip connections",
            reference="Zhou et al., UNet++, 2018, arXiv:1807.10165",
        ),
        Architecture(
            name="unet",
            target="segreg_monai.architectures:unet",
            summary="U-Net of residual units with strided convolutions",
            reference="Kerfoot et al., Left-Ventricle Quantification Using Residual U-Net, 2019, "
            "doi:10.1007/978-3-030-12029-0_40",
        ),
        Architecture(
            name="attentionunet",
            target="segreg_monai.architectures:attentionunet",
            summary="U-Net with attention gates on the skip connections",
            reference="Oktay et al., Attention U-Net, 2018, arXiv:1804.03999",
        ),
        Architecture(
            name="segresnet",
            target="segreg_monai.architectures:segresnet",
            summary="Large residual encoder, small decoder",
            reference="Myronenko, 3D MRI brain tumor segmentation using autoencoder regularization, 2018, "
            "arXiv:1810.11654",
        ),
        Architecture(
            name="dynunet",
            target="segreg_monai.architectures:dynunet",
            summary="The U-Net of nnU-Net",
            reference="Isensee et al., nnU-Net, 2019, arXiv:1904.08128",
        ),
        Architecture(
            name="mednext",
            target="segreg_monai.architectures:mednext",
            summary="U-Net of ConvNeXt blocks",
            reference="Roy et al., MedNeXt, 2023, arXiv:2303.09975",
        ),
        Architecture(
            name="swinunetr",
            target="segreg_monai.architectures:swinunetr",
            summary="Swin transformer encoder, convolutional decoder",
            reference="Hatamizadeh et al., Swin UNETR, 2022, arXiv:2201.01266",
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
            reference=_DICE,
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
            reference="Sudre et al., Generalised Dice overlap, 2017, arXiv:1707.03237",
        ),
        Loss(
            name="tversky",
            target="segreg_monai.losses:tversky",
            summary="Tversky, averaged over images and all classes",
            reference="Salehi et al., Tversky loss function, 2017, arXiv:1706.05721",
        ),
        Loss(
            name="focal",
            target="segreg_monai.losses:Focal",
            summary="Focal loss, averaged over pixels and classes",
            reference=_FOCAL,
        ),
        Loss(
            name="dicece",
            target="segreg_monai.losses:dicece",
            summary="Dice plus cross-entropy",
            reference="Isensee et al., nnU-Net, 2019, arXiv:1904.08128",
        ),
        Loss(
            name="dicefocal",
            target="segreg_monai.losses:dicefocal",
            summary="Dice plus focal loss",
            reference="Zhu et al., AnatomyNet, 2018, arXiv:1808.05238",
        ),
    ]
