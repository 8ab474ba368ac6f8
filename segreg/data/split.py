"""What training, scoring and plotting need from a split, wherever its images are kept."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from segreg.data.decode import Skipped
from segreg.data.survey import count_classes
from segreg.kinds import FACTS
from segreg.task import Task, task_of


class Split(Protocol):
    """The images and masks of one split, all of one size. Nothing else is required of a split."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the images in reports, in order."""

    @property
    def digest(self) -> str:
        """A digest of the names, the images and the masks: equal if and only if all of them are."""

    def __len__(self) -> int:
        """Count the images."""

    def take(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return some of the images and their masks, unchanged.

        Shapes:
            returns: uint8 [n, H, W, C] and uint8 [n, H, W], on the CPU.
        """

    def batches(
        self, size: int, device: torch.device, order: Sequence[int] | Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches on the device.

        Args:
            size: Images per batch; the last one may have fewer.
            device: The device of the batches.
            order: The positions of the images, in order; by default all of them.

        Shapes:
            yields: images float32 [B, C, H, W] in [0, 1], and targets int64 [B, H, W].
        """


@attrs.frozen(eq=False, kw_only=True)
class Data:
    """All splits of a dataset, at the training size.

    Args:
        classes: One name for a binary task, else one per class.
        in_channels: Channels of the images.
        splits: `train`, `valid`, and `test` if there is one.
        skipped: The images that were left out.
    """

    classes: Sequence[str]
    in_channels: int
    splits: Mapping[str, Split]
    skipped: Sequence[Skipped] = ()

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return len(self.classes)

    @property
    def task(self) -> Task:
        """What logits and masks mean."""
        return task_of(self.num_classes)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """The digest of each split."""
        return {name: split.digest for name, split in self.splits.items()}

    @cached_property
    def class_counts(self) -> Tensor:
        """The pixels of each training image by class, int64 [N, K], K the values of a mask; ignored ones not counted.

        In a binary task the first column is the background.
        """
        return count_classes(self.splits["train"], self.task)

    @property
    def class_pixels(self) -> tuple[int, ...]:
        """The training pixels of each class."""
        return tuple(self.class_counts.sum(0).tolist())

    @property
    def class_image_pixels(self) -> tuple[int, ...]:
        """The pixels of the training images in which each class occurs. Ignored ones are not counted."""
        occurs = (self.class_counts > 0).long()
        return tuple((occurs.T @ self.class_counts.sum(1)).tolist())

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What components need to know about the data."""
        return {name: getattr(self, name) for name in FACTS}
