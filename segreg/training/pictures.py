"""Pictures ready for training: decoded and resized once, kept as bytes, changed and normalised in batches."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import attrs
import kornia.augmentation as K
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from segreg.contracts import IGNORE_INDEX, Sample, SegmentationDataset
from segreg.errors import DataError
from segreg.kinds import KINDS
from segreg.training.recipe import BadFiles, Change

_THREADS = 4
_LISTED = 20
_HOPELESS = 100  # so many bad pictures, and no good one among them, are one mistake and not many


@attrs.frozen(eq=False)
class Pictures:
    """The pictures of one split, all of one size.

    Args:
        images: uint8 [N, C, H, W].
        masks: uint8 [N, H, W].
        names: One a picture.
    """

    images: Tensor
    masks: Tensor
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Give batches on the device: images float32 [B, C, H, W] in [0, 1], and targets int64 [B, H, W].

        Args:
            size: Pictures in a batch; the last one may have fewer.
            device: Where to.
            order: Positions, int64 [N]; by default as they stand.
        """
        order = torch.arange(len(self)) if order is None else order
        for chosen in torch.split(order, size):
            images = self.images[chosen].to(device, non_blocking=True).float().div_(255)
            yield images, self.masks[chosen].to(device, non_blocking=True).long()


@attrs.frozen
class Skipped:
    """A picture that could not be used.

    Args:
        split: Where it belongs.
        name: What reports would have called it.
        reason: What is wrong with it, in one line.
    """

    split: str
    name: str
    reason: str


@attrs.frozen(eq=False)
class Data:
    """All splits of a data set at the size of training.

    Args:
        classes: One name for a binary task, else one a class.
        splits: `train`, `valid`, and `test` if there is one.
        skipped: What was left out of them.
    """

    classes: Sequence[str]
    splits: Mapping[str, Pictures]
    skipped: Sequence[Skipped] = ()

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return len(self.classes)

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.splits["train"].images.shape[1]

    def facts(self, kind: str) -> dict[str, int]:
        """Return the options of a component of a kind that the data decide."""
        return {name: getattr(self, name) for name in KINDS[kind].facts}


def load(
    dataset: SegmentationDataset,
    size: tuple[int, int],
    progress: Callable[[str, int, int], None],
    bad_files: BadFiles = "stop",
) -> Data:
    """Decode every picture of a data set and resize it: images with antialiasing, masks to the nearest pixel.

    Args:
        dataset: Where from.
        size: Height and width, in pixels.
        progress: Called with what goes on, how many pictures of the split are done, and how many there are.
        bad_files: `stop` refuses a data set with bad pictures after a look at all, `skip` leaves them out.

    Raises:
        DataError: a split is missing or empty, no class is named, pictures do not fit into memory, or cannot be read
            or do not keep the contract of data sets and are not to be skipped.
    """
    if not len(dataset.classes):
        raise DataError("the data set names no class: it needs one name for a binary task, else one a class")
    limit = max(len(dataset.classes), 2)
    for split in ("train", "valid"):
        if split not in dataset.splits or not len(dataset.splits[split]):
            raise DataError(f"the data set has no pictures in its split {split!r}: training needs 'train' and 'valid'")
    bad: list[Skipped] = []
    splits = {
        split: _decode(split, samples, size, limit, progress, bad, stop=bad_files == "stop")
        for split, samples in dataset.splits.items()
        if len(samples)
    }
    if bad and bad_files == "stop":
        raise _refusal(bad, f"{len(bad)} of {len(bad) + sum(map(len, splits.values()))} pictures cannot be used")
    for split, pictures in splits.items():
        if not len(pictures):
            raise _refusal([each for each in bad if each.split == split], f"no picture of {split} can be used")
    channels = {split: pictures.images.shape[1] for split, pictures in splits.items()}
    if len(set(channels.values())) > 1:
        raise DataError(f"the splits differ in their number of channels: {channels}")
    return Data(tuple(dataset.classes), splits, bad)


def _refusal(bad: Sequence[Skipped], what: str) -> DataError:
    if len(bad) == 1:
        return DataError(bad[0].reason)
    more = [f"and {len(bad) - _LISTED} more"] if len(bad) > _LISTED else []
    way_out = "mend or remove them, or leave them out with bad_files=skip (--bad-files skip)"
    return DataError(f"{what}: {way_out}", *(each.reason for each in bad[:_LISTED]), *more)


def _decode(
    split: str,
    samples: Sequence[Sample],
    size: tuple[int, int],
    limit: int,
    progress: Callable[[str, int, int], None],
    bad: list[Skipped],
    *,
    stop: bool,
) -> Pictures:
    """Read one split, and add to `bad` what cannot be used of it."""
    masks = _empty((len(samples), *size), split)
    names = names_of(samples)
    images: Tensor | None = None

    def one(position: int) -> tuple[np.ndarray, np.ndarray] | str:
        where = f"{split} picture {names[position]!r}"
        try:
            image, mask = samples[position]
            check_sample(image, mask, where, limit)
        except DataError as error:
            return str(error)
        except OSError as error:  # from the data set of a plugin
            return f"{where} cannot be read: {' '.join(str(error).split())}"
        return resized(image, size, Image.Resampling.BILINEAR), resized(mask[..., None], size, Image.Resampling.NEAREST)

    good: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool, warnings.catch_warnings():
        # Pillow warns of oddities that change no pixel, in a form that reads like an error of ours.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        # In portions, so that a failure or Ctrl-C is not answered only after everything queued has been decoded.
        positions = iter(range(len(samples)))
        while portion := list(islice(positions, 8 * _THREADS)):
            for position, read in zip(portion, pool.map(one, portion), strict=True):
                name = names[position]
                if isinstance(read, str):
                    bad.append(Skipped(split, name, read))
                    continue
                image, mask = read
                if images is None:
                    images = _empty((len(samples), image.shape[2], *size), split)
                if image.shape[2] != images.shape[1]:
                    raise DataError(
                        f"{split} picture {name!r} has {image.shape[2]} channels where others have {images.shape[1]}"
                    )
                images[len(good)] = torch.from_numpy(image).permute(2, 0, 1)
                masks[len(good)] = torch.from_numpy(mask[..., 0])
                good.append(name)
            progress(f"reading {split}", portion[-1] + 1, len(samples))
            if stop and not good and len(bad) >= _HOPELESS:
                raise _refusal(bad, f"the first {len(bad)} pictures can all not be used")
    images = _empty((0, 0, *size), split) if images is None else images
    return Pictures(images[: len(good)], masks[: len(good)], good)


def names_of(samples: Sequence[Sample]) -> list[str]:
    """Return what reports call the samples of a split: their names, or else their positions."""
    # Not every file system has names that are text.
    return [
        str(name).encode(errors="backslashreplace").decode() for name in getattr(samples, "names", range(len(samples)))
    ]


def check_sample(image: np.ndarray, mask: np.ndarray, where: str, limit: int) -> None:
    """Raise `DataError` unless a sample keeps the contract of data sets."""
    if image.dtype != np.uint8 or image.ndim != 3 or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise DataError(
            f"{where} has an image {image.dtype} {list(image.shape)} and a mask {mask.dtype} {list(mask.shape)}: "
            "expected uint8 [H, W, C] and uint8 [H, W]"
        )
    wrong = mask[(mask >= limit) & (mask != IGNORE_INDEX)]
    if wrong.size:
        raise DataError(
            f"{where} has the value {wrong[0]} in its mask: allowed are 0 to {limit - 1}, and {IGNORE_INDEX} to ignore"
        )


def _empty(shape: tuple[int, ...], split: str) -> Tensor:
    try:
        return torch.empty(shape, dtype=torch.uint8)
    except RuntimeError as error:
        size = f"{shape[-2]}x{shape[-1]}"
        raise DataError(
            f"the {shape[0]} pictures of {split} at {size} do not fit into memory: choose a smaller size"
        ) from error


def resized(pixels: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    """Resize uint8 [H, W, C] to `size`, channel by channel: Pillow has no images of two or of five channels."""
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    channels = [Image.fromarray(channel).resize((width, height), resampling) for channel in np.moveaxis(pixels, 2, 0)]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


class Augmentation:
    """Random changes to the pictures of a batch, on their device.

    Turning and shifting reflect the picture at its edges, so that no black corner is learnt as background.

    Args:
        names: Which changes.
    """

    def __init__(self, names: Sequence[Change]) -> None:
        changes: Mapping[Change, K.AugmentationBase2D] = {
            "hflip": K.RandomHorizontalFlip(),
            "vflip": K.RandomVerticalFlip(),
            "affine": K.RandomAffine(20.0, translate=(0.05, 0.05), scale=(0.8, 1.2), padding_mode="reflection"),
        }
        chosen = [change for name, change in changes.items() if name in names]
        self._changes = K.AugmentationSequential(*chosen, data_keys=["input", "mask"]) if chosen else None

    def __call__(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch.

        Shapes:
            images: float [B, C, H, W] in [0, 1];  target: int64 [B, H, W];  returns: the same.
        """
        if self._changes is None:
            return images, target
        images, masks = self._changes(images, target.unsqueeze(1).float())
        return images, masks.squeeze(1).long()
