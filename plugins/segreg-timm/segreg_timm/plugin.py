"""The components of the plugin. segreg reads this module to list names, so it imports nothing but segreg."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="unet",
            target="segreg_timm.unet:UNet",
            pretrained_options=("pretrained",),
            summary="U-Net whose contracting path is any timm backbone",
        ),
        Architecture(
            name="fpn",
            target="segreg_timm.fpn:FPN",
            pretrained_options=("pretrained",),
            summary="Feature pyramid over any timm backbone, its levels summed",
        ),
        Architecture(
            name="deeplabv3plus",
            target="segreg_timm.deeplabv3plus:DeepLabV3Plus",
            pretrained_options=("pretrained",),
            summary="Dilated convolutions over the last features of any timm backbone, refined by early ones",
        ),
    ]
