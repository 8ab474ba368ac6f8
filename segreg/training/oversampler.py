"""The order of the training images, in which images with rare classes come more often."""

import math

import numpy as np
import torch
from torch import Tensor

from segreg.data.split import Data
from segreg.errors import OptionError

# Keeps its numbers apart from those of the augmentation.
_STREAM = 0x0E25


class Oversampler:
    """Replaces a share of the images of an epoch by images that are chosen for a class.

    For each such position a class is drawn, each of those that occur in training with the same probability, and then an
    image, each of those in which the class occurs with the same probability. So a class that only a few images show is
    seen as often as one that all of them show. In a binary task the only class is the foreground. What is drawn follows
    from the seed, the epoch and the position in it.

    Args:
        data: The data.
        share: Share of the positions, 0 to 1, evenly spaced: a batch of n has n times the share, rounded up or down.
        seed: Seed of the run.

    Raises:
        OptionError: no training image shows a class.

    Reference: Isensee et al., nnU-Net, Nature Methods, 2021, which oversamples patches with foreground; there every
        batch ends with them, and the class is drawn for an image instead of the image for a class.
    """

    def __init__(self, data: Data, share: float, seed: int) -> None:
        self._seed = seed
        self._positions = torch.empty(0, dtype=torch.long)
        if not share:
            return
        images = len(data.splits["train"])
        # 1e-9 makes up for the rounding of products such as 100 * 0.29.
        due = (torch.arange(images + 1, dtype=torch.float64) * share + 1e-9).floor()
        self._positions = due.diff().nonzero().flatten()
        occurs = data.class_counts[:, list(data.task.class_indices)] > 0
        self._images_of = [column.nonzero().flatten() for column in occurs.T if column.any()]
        if not self._images_of:
            raise OptionError(f"oversample is {share:g}, but no training image shows a class: use 0")

    def replaced(self, order: Tensor, epoch: int) -> Tensor:
        """Return the order of an epoch with some of its images replaced.

        Shapes:
            order: int64 [N], the image at each position;  returns: the same.
        """
        if not len(self._positions):
            return order
        # torch's generator on the CPU takes only 32 bits of a seed, which do not hold all of it.
        generator = np.random.default_rng((self._seed, epoch, _STREAM))
        u = generator.random((len(order), 2))[self._positions.numpy()].tolist()
        chosen = []
        for of_class, of_image in u:
            images = self._images_of[math.floor(of_class * len(self._images_of))]
            chosen.append(images[math.floor(of_image * len(images))])
        return order.index_copy(0, self._positions, torch.stack(chosen))
