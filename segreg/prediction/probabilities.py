"""Probabilities: their classes, at another size, and of rotated and flipped views."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from segreg.data.image_files import Pixels
from segreg.prediction.tiles import Strip
from segreg.task import Task

VIEWS = [(rotations, flipped) for rotations in range(4) for flipped in (False, True)]
"""The eight views of an image: how many times it is rotated by 90°, and whether it is flipped after that."""

_ROWS = 256


def classes_of(task: Task, probabilities: Tensor) -> Pixels:
    """Return the predicted classes.

    Shapes:
        probabilities: float [K, H, W];  returns: uint8 [H, W].
    """
    found: Pixels = task.decide_probabilities(probabilities).to(torch.uint8).cpu().numpy()
    return found


def enlarged(probabilities: Tensor, size: tuple[int, int]) -> Iterator[Strip]:
    """Resize probabilities, bilinearly, strip by strip.

    Shapes:
        probabilities: float32 [K, h, w];  the strips: float32 [K, n, W], of H rows in total.
    """
    height, width = size
    # Position of each row among the given ones, by the convention of centres that torch and Pillow share.
    rows = probabilities.shape[1]
    places = ((torch.arange(height, device=probabilities.device) + 0.5) * rows / height - 0.5).clamp(min=0)
    above = places.long()
    below = (above + 1).clamp(max=rows - 1)
    share = (places - above)[:, None]
    for top in range(0, height, _ROWS):
        part = slice(top, top + _ROWS)
        strip = torch.lerp(probabilities[:, above[part]], probabilities[:, below[part]], share[part])
        yield top, F.interpolate(strip[None], (strip.shape[1], width), mode="bilinear", align_corners=False)[0]


def view(images: Tensor, rotations: int, flipped: bool) -> Tensor:
    """Return a view of images, [B, C, H, W]."""
    images = images.rot90(rotations, (2, 3))
    return images.flip(3) if flipped else images


def undo_view(found: Tensor, rotations: int, flipped: bool) -> Tensor:
    """Return the result for a view in the orientation of the image, [B, K, H, W]."""
    return (found.flip(3) if flipped else found).rot90(-rotations, (2, 3))
