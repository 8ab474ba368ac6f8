"""From probabilities to classes, at another size, and turned."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from segreg.data.image_files import Pixels
from segreg.prediction.tiles import Strip
from segreg.task import Task

VIEWS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
"""The ways to turn and mirror an image: by how many quarters, and whether it is mirrored after that."""

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
        probabilities: float32 [K, h, w];  the strips: float32 [K, n, W], of H rows in all.
    """
    height, width = size
    # Where each row lies among the given ones, by the convention of centres that torch and Pillow share.
    rows = probabilities.shape[1]
    places = ((torch.arange(height, device=probabilities.device) + 0.5) * rows / height - 0.5).clamp(min=0)
    above = places.long()
    below = (above + 1).clamp(max=rows - 1)
    share = (places - above)[:, None]
    for top in range(0, height, _ROWS):
        part = slice(top, top + _ROWS)
        strip = torch.lerp(probabilities[:, above[part]], probabilities[:, below[part]], share[part])
        yield top, F.interpolate(strip[None], (strip.shape[1], width), mode="bilinear", align_corners=False)[0]


def turned(images: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Return a view of images, [B, C, H, W]."""
    images = images.rot90(turns, (2, 3))
    return images.flip(3) if mirrored else images


def turned_back(found: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Return what was found on a view as the image lies, [B, K, H, W]."""
    return (found.flip(3) if mirrored else found).rot90(-turns, (2, 3))
