"""The components named smp/..."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Loss

_MODELS = (
    ("unet", "U-Net on a classification encoder", "Ronneberger et al., U-Net, 2015, arXiv:1505.04597"),
    ("unetplusplus", "U-Net with nested, dense skip connections", "Zhou et al., UNet++, 2018, arXiv:1807.10165"),
    ("manet", "U-Net with attention over positions and scales", "Fan et al., MA-Net, IEEE Access, 2020"),
    ("linknet", "Light decoder that adds the encoder's features", "Chaurasia et al., LinkNet, 2017, arXiv:1707.03718"),
    ("fpn", "Feature pyramid, its levels summed", "Lin et al., Feature Pyramid Networks, 2016, arXiv:1612.03144"),
    ("pspnet", "Pools over grids of four sizes", "Zhao et al., PSPNet, 2016, arXiv:1612.01105"),
    ("pan", "Attention over a pyramid of contexts", "Li et al., Pyramid Attention Network, 2018, arXiv:1805.10180"),
    ("deeplabv3", "Dilated convolutions at several rates", "Chen et al., DeepLabv3, 2017, arXiv:1706.05587"),
    ("deeplabv3plus", "DeepLabv3 with a small decoder", "Chen et al., DeepLabv3+, 2018, arXiv:1802.02611"),
    ("upernet", "Pyramid pooling below a feature pyramid", "Xiao et al., UPerNet, 2018, arXiv:1807.10221"),
    ("segformer", "Mix Transformer encoder, linear decoder", "Xie et al., SegFormer, 2021, arXiv:2105.15203"),
    ("dpt", "Vision transformer encoder, fusing decoder", "Ranftl et al., DPT, 2021, arXiv:2103.13413"),
)
# Where ResNet-34 is not what the architecture was made for, the smallest encoder that is. timm's ResNet-34 is the
# same network; smp builds only those stages of it that PSPNet uses.
_ENCODERS = {"pspnet": "tu-resnet34", "segformer": "mit_b0", "dpt": "tu-vit_tiny_patch16_224"}


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models: one class for all, with smp's name of the architecture as an option."""
    return [
        Architecture(
            name=name,
            target="segreg_smp.architectures:SMPModel",
            options={"arch": name, **({"encoder": _ENCODERS[name]} if name in _ENCODERS else {})},
            summary=summary,
            reference=reference,
            pretrained_options=("weights",),
        )
        for name, summary, reference in _MODELS
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    """Declare the losses."""
    return [
        Loss(
            name="dice",
            target="segreg_smp.losses:dice",
            summary="Dice over the whole batch",
        ),
        Loss(
            name="jaccard",
            target="segreg_smp.losses:jaccard",
            summary="Jaccard over the whole batch",
        ),
        Loss(
            name="tversky",
            target="segreg_smp.losses:tversky",
            summary="Tversky over the whole batch",
        ),
        Loss(
            name="focal",
            target="segreg_smp.losses:Focal",
            summary="Focal loss with one sigmoid per class",
        ),
        Loss(
            name="lovasz",
            target="segreg_smp.losses:Lovasz",
            summary="Lovász hinge or softmax over the whole batch",
            known_failures={"runs-without-values": "with several classes smp asks the device which ones are present"},
        ),
        Loss(
            name="mcc",
            target="segreg_smp.losses:MCC",
            summary="One minus the Matthews correlation coefficient over the whole batch",
            known_failures={
                "runs-without-values": "true negatives count, so ignored pixels are taken out, and counted on the host"
            },
        ),
    ]
