"""What the plugin offers. segreg reads this module to list names, so it imports nothing but segreg."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture

_TIMM = "Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861"


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="unet",
            target="segreg_timm.unet:UNet",
            pretrained_options=("pretrained",),
            summary="U-Net whose contracting path is any timm backbone",
            reference=f"Ronneberger et al., U-Net, 2015, arXiv:1505.04597; {_TIMM}",
        ),
        Architecture(
            name="fpn",
            target="segreg_timm.fpn:FPN",
            pretrained_options=("pretrained",),
            summary="Feature pyramid over any timm backbone, its levels added up",
            reference=f"Kirillov et al., Panoptic Feature Pyramid Networks, 2019, arXiv:1901.02446; {_TIMM}",
        ),
        Architecture(
            name="deeplabv3plus",
            target="segreg_timm.deeplabv3plus:DeepLabV3Plus",
            pretrained_options=("pretrained",),
            summary="Dilated convolutions over the last features of any timm backbone, refined by early ones",
            reference=f"Chen et al., DeepLabv3+, 2018, arXiv:1802.02611; {_TIMM}",
        ),
    ]
