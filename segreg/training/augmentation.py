"""Random augmentation of the images and masks of a batch."""

from collections.abc import Mapping, Sequence

import kornia.augmentation as K
from torch import Tensor

from segreg.recipe import Change


class Augmentation:
    """Random augmentation of a batch of images, on their device.

    Rotation and translation reflect the image at its edges, so that no black corner is learnt as background.

    Args:
        names: Which augmentations.
    """

    def __init__(self, names: Sequence[Change]) -> None:
        available: Mapping[Change, K.AugmentationBase2D] = {
            "hflip": K.RandomHorizontalFlip(),
            "vflip": K.RandomVerticalFlip(),
            "affine": K.RandomAffine(20.0, translate=(0.05, 0.05), scale=(0.8, 1.2), padding_mode="reflection"),
        }
        chosen = [each for name, each in available.items() if name in names]
        self._augment = K.AugmentationSequential(*chosen, data_keys=["input", "mask"]) if chosen else None

    def __call__(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Shapes:
            images: float [B, C, H, W] in [0, 1];  target: int64 [B, H, W];  returns: the same.
        """
        if self._augment is None:
            return images, target
        images, masks = self._augment(images, target.unsqueeze(1).float())
        return images, masks.squeeze(1).long()
