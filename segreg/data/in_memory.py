"""A split that is kept in memory: decoded and resized once, as uint8."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import attrs
import torch
from torch import Tensor

from segreg.contracts import Sample, SegmentationDataset
from segreg.data.decode import OnBadImage, Skipped, decode_resized, names_of
from segreg.data.image_files import pillow_warnings_ignored
from segreg.data.split import Data
from segreg.errors import DataError
from segreg.task import task_of

_THREADS = 4
_LISTED = 20
_GIVE_UP = 100  # this many bad images without a good one are one mistake and not many


@attrs.frozen(eq=False)
class InMemory:
    """A split whose images are in memory.

    Args:
        images: uint8 [N, C, H, W].
        masks: uint8 [N, H, W].
        names: One per image.
    """

    images: Tensor
    masks: Tensor
    names: Sequence[str]

    @property
    def digest(self) -> str:
        """A digest of the names, the images and the masks."""
        digest = hashlib.sha256("\n".join(self.names).encode("utf-8", "surrogateescape"))
        for tensor in (self.images, self.masks):
            digest.update(str(list(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def take(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return some of the images and their masks, uint8 [n, H, W, C] and [n, H, W]."""
        chosen = torch.as_tensor(positions, dtype=torch.long)
        return self.images[chosen].movedim(1, -1), self.masks[chosen]

    def batches(
        self, size: int, device: torch.device, order: Sequence[int] | Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches on the device: images float32 [B, C, H, W] in [0, 1], and targets int64 [B, H, W]."""
        order = torch.arange(len(self)) if order is None else torch.as_tensor(order, dtype=torch.long)
        for chosen in torch.split(order, size):
            images = self.images[chosen].to(device, non_blocking=True).float().div_(255)
            yield images, self.masks[chosen].to(device, non_blocking=True).long()


def load_data(
    dataset: SegmentationDataset,
    size: tuple[int, int],
    progress: Callable[[str, int, int], None],
    on_bad_image: OnBadImage = "error",
) -> Data:
    """Decode every image of a dataset and resize it: images with antialiasing, masks to the nearest pixel.

    Args:
        dataset: The dataset to read.
        size: Height and width, in pixels.
        progress: Called with what is being done, how many images of the split are done, and their number.
        on_bad_image: `error` refuses a dataset with bad images once all are checked, `skip` leaves them out.

    Raises:
        DataError: a split is missing or empty, no class is named, images do not fit into memory, or images
            that must not be skipped cannot be read or do not follow the contract of datasets.
    """
    if not len(dataset.classes):
        raise DataError("the dataset names no class: expected one name for a binary task, else one per class")
    try:
        limit = task_of(len(dataset.classes)).num_values
    except ValueError as error:
        raise DataError(f"the dataset names {len(dataset.classes)} classes: expected 255 at most") from error
    for split in ("train", "valid"):
        if split not in dataset.splits or not len(dataset.splits[split]):
            raise DataError(f"the dataset has no images in its split {split!r}: training needs 'train' and 'valid'")
    read = {
        split: _read(split, samples, size, limit, progress, on_bad_image == "error")
        for split, samples in dataset.splits.items()
        if len(samples)
    }
    splits = {split: images for split, (images, _) in read.items()}
    bad = [each for _, skipped in read.values() for each in skipped]
    if bad and on_bad_image == "error":
        raise _refusal(bad, f"{len(bad)} of {len(bad) + sum(map(len, splits.values()))} images cannot be used")
    for split, images in splits.items():
        if not len(images):
            raise _refusal([each for each in bad if each.split == split], f"no image of {split} can be used")
    channels = {split: images.images.shape[1] for split, images in splits.items()}
    if len(set(channels.values())) > 1:
        raise DataError(f"the splits differ in their number of channels: {channels}")
    return Data(classes=tuple(dataset.classes), in_channels=channels["train"], splits=splits, skipped=bad)


def _refusal(bad: Sequence[Skipped], what: str) -> DataError:
    if len(bad) == 1:
        return DataError(bad[0].reason)
    more = [f"and {len(bad) - _LISTED} more"] if len(bad) > _LISTED else []
    way_out = "fix or remove them, or leave them out with on_bad_image=skip (--on-bad-image skip)"
    return DataError(f"{what}: {way_out}", *(each.reason for each in bad[:_LISTED]), *more)


def _read(
    split: str,
    samples: Sequence[Sample],
    size: tuple[int, int],
    limit: int,
    progress: Callable[[str, int, int], None],
    stop: bool,
) -> tuple[InMemory, list[Skipped]]:
    """Read one split; return it and the images that cannot be used."""
    bad: list[Skipped] = []
    masks = _empty((len(samples), *size), split)
    names = names_of(samples)
    images: Tensor | None = None

    def one(position: int) -> Sample | Skipped:
        return decode_resized(split, samples, position, names[position], limit, size)

    good: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool, pillow_warnings_ignored():
        # In portions, so that a failure or Ctrl-C does not have to wait until everything queued has been decoded.
        positions = iter(range(len(samples)))
        while portion := list(islice(positions, 8 * _THREADS)):
            for position, read in zip(portion, pool.map(one, portion), strict=True):
                if isinstance(read, Skipped):
                    bad.append(read)
                    continue
                name, (image, mask) = names[position], read
                if images is None:
                    images = _empty((len(samples), image.shape[2], *size), split)
                if image.shape[2] != images.shape[1]:
                    raise DataError(
                        f"{split} image {name!r} has {image.shape[2]} channels, but others have {images.shape[1]}"
                    )
                images[len(good)] = torch.from_numpy(image).permute(2, 0, 1)
                masks[len(good)] = torch.from_numpy(mask)
                good.append(name)
            progress(f"reading {split}", portion[-1] + 1, len(samples))
            if stop and not good and len(bad) >= _GIVE_UP:
                raise _refusal(bad, f"none of the first {len(bad)} images can be used")
    images = _empty((0, 0, *size), split) if images is None else images
    return InMemory(images[: len(good)], masks[: len(good)], good), bad


def _empty(shape: tuple[int, ...], split: str) -> Tensor:
    try:
        return torch.empty(shape, dtype=torch.uint8)
    except RuntimeError as error:
        size = f"{shape[-2]}x{shape[-1]}"
        raise DataError(
            f"the {shape[0]} images of {split} at {size} do not fit into memory: choose a smaller size"
        ) from error
