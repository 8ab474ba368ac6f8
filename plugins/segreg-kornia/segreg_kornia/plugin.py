"""The components named kornia/... . segreg reads this module to list names, so it imports nothing but segreg."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Augmentation

_COLOUR = {"any-channels": "it is about colours, and takes images of 3 channels only"}
_ASKS_FOR_VALUES = {"runs-without-values": "kornia asks for values of the images' tensors"}


@hookimpl
def segreg_augmentations() -> Iterable[Augmentation]:
    """Declare the augmentations."""
    return [
        Augmentation(
            name="blur",
            target="segreg_kornia.augmentations:Blur",
            summary="Blurs with a Gaussian of random width",
            known_failures=_ASKS_FOR_VALUES,
        ),
        Augmentation(
            name="motion",
            target="segreg_kornia.augmentations:Motion",
            summary="Blurs along a line of random direction",
        ),
        Augmentation(
            name="sharpness",
            target="segreg_kornia.augmentations:Sharpness",
            summary="Smooths or sharpens by a random factor",
        ),
        Augmentation(
            name="clahe",
            target="segreg_kornia.augmentations:CLAHE",
            summary="Equalizes the contrast in each part of the image",
        ),
        Augmentation(
            name="hue",
            target="segreg_kornia.augmentations:Hue",
            summary="Shifts the hue of colour images",
            known_failures=_COLOUR,
        ),
        Augmentation(
            name="saturation",
            target="segreg_kornia.augmentations:Saturation",
            summary="Scales the saturation of colour images",
            known_failures=_COLOUR,
        ),
        Augmentation(
            name="jpeg",
            target="segreg_kornia.augmentations:JPEG",
            summary="Gives colour images the artefacts of JPEG compression",
            known_failures={**_COLOUR, **_ASKS_FOR_VALUES},
        ),
        Augmentation(
            name="cutout",
            target="segreg_kornia.augmentations:Cutout",
            summary="Replaces a random rectangle by the mean of the image",
        ),
    ]
