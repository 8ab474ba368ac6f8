"""Whether gradients that are accumulated over several batches are those of one large batch."""

from contextlib import suppress

import torch
from torch import Tensor

from segreg.contracts import IGNORE_INDEX
from segreg.data.split import Data
from segreg.recipe import Recipe
from segreg.resolved import build_sum
from segreg.support.randomness import random_state, restore_random_state

_IMAGES = 4
_SIDE = 32
# Of float32 sums in another order.
_TOLERANCE = 1e-4


def why_not_the_mean(recipe: Recipe, data: Data) -> str:
    """Return why a recipe's loss of a large batch differs from the mean over its batches; empty if it does not.

    It does where a loss divides by something that differs from image to image. That is found by calling it with random
    logits and masks, first without ignored pixels and then with some.
    """
    small = (min(recipe.size[0], _SIDE), min(recipe.size[1], _SIDE))
    means = f"the mean of {recipe.accumulate} batches of {recipe.batch} is used, and not the loss of all as one batch"
    before = random_state(torch.device("cpu"))
    try:
        # Some losses do not take small images.
        for size in (small, recipe.size):
            with suppress(Exception):
                if not _is_mean_over_images(recipe, data, size, ignored=False):
                    return f"{recipe.loss} divides by what differs between images: {means}"
                if not _is_mean_over_images(recipe, data, size, ignored=True):
                    return f"{recipe.loss} divides by the pixels that are not ignored: if there are any, {means}"
                break
    finally:
        restore_random_state(before, torch.device("cpu"))
    return ""


@torch.no_grad()
def _is_mean_over_images(recipe: Recipe, data: Data, size: tuple[int, int], *, ignored: bool) -> bool:
    logits = torch.randn(_IMAGES, data.num_classes, *size)
    # The classes' shares differ between images, and so does that of ignored pixels.
    pixels = torch.rand(_IMAGES, *size) ** torch.arange(1, _IMAGES + 1)[:, None, None]
    target = (pixels * data.task.num_values).long()
    if ignored:
        target[torch.rand(_IMAGES, *size) < torch.arange(_IMAGES)[:, None, None] / _IMAGES] = IGNORE_INDEX

    def loss(chosen: slice) -> Tensor:
        called: Tensor = build_sum(recipe.components["loss"], **data.facts)(logits[chosen], target[chosen])
        return called

    apart = torch.stack([loss(slice(image, image + 1)) for image in range(_IMAGES)]).mean()
    return torch.allclose(loss(slice(None)), apart, rtol=_TOLERANCE, atol=_TOLERANCE)
