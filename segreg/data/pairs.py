"""Lists images and masks, pairs them by name and splits them. Nothing is decoded before it is accessed."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

import attrs
import numpy as np

from segreg.contracts import Sample
from segreg.data.folders import entries
from segreg.data.image_files import SUFFIXES, read_image, read_mask
from segreg.errors import DataError, counted


@attrs.frozen
class Pair:
    """An image and its mask, as files.

    Args:
        name: The name of the sample in reports.
        image: The image's file.
        mask: The mask's file.
    """

    name: str
    image: Path
    mask: Path


@attrs.frozen
class Pairs(Sequence[Sample]):
    """A split: samples that are decoded on every access. It can be pickled.

    Args:
        pairs: The files.
        num_classes: 1 for binary masks, else the number of classes.
        ignore_value: A value of the mask files that means "no class here".
    """

    pairs: tuple[Pair, ...]
    num_classes: int = attrs.field(default=1, kw_only=True)
    ignore_value: int | None = attrs.field(default=None, kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The samples' names, in order."""
        return tuple(pair.name for pair in self.pairs)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Pairs": ...
    def __getitem__(self, index: int | slice) -> "Sample | Pairs":
        """Decode a sample, or return a slice of the split.

        Shapes:
            returns: image uint8 [H, W, 3] and mask uint8 [H, W].

        Raises:
            DataError: a file cannot be read, the mask has invalid values, or the sizes differ.
        """
        if isinstance(index, slice):
            return attrs.evolve(self, pairs=self.pairs[index])
        pair = self.pairs[index]
        image = read_image(pair.image)
        mask = read_mask(pair.mask, num_classes=self.num_classes, ignore_value=self.ignore_value)
        if image.shape[:2] != mask.shape:
            (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
            rotated = (width, height) == (mask_height, mask_width)
            hint = "; perhaps only one of them has an EXIF orientation" if rotated else ""
            raise DataError(
                f"image {pair.image} is {width}×{height} and its mask {pair.mask} is {mask_width}×{mask_height}: "
                f"expected the same size{hint}"
            )
        return image, mask


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by stem, without other files, hidden files and folders.

    A broken link is listed, so that it is an error when it is read instead of being left out silently.

    Raises:
        DataError: two images have the same stem.
    """
    found: dict[str, Path] = {}
    for path in entries(folder):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir():
            # A file system may write é as one character or as two, so the names of a pair may differ in that.
            stem = unicodedata.normalize("NFC", path.stem)
            if stem in found:
                raise DataError(f"{found[stem]} and {path} have the same stem: remove one of them")
            found[stem] = path
    return found


def paired(images: Mapping[str, Path], masks: Mapping[str, Path], *, images_in: Path, masks_in: Path) -> list[Pair]:
    """Pair images and masks of equal names, sorted by name.

    Args:
        images: Image files by name.
        masks: Mask files by name.
        images_in: Where the images were looked for, for messages.
        masks_in: Where the masks were looked for, for messages.

    Raises:
        DataError: there are no images, some have no mask, or some masks have no image.
    """
    if not images:
        raise DataError(f"{images_in} contains no images: expected files such as {', '.join(sorted(SUFFIXES))}")
    for kind, other, have, lack, where in (
        ("image", "mask", images, masks, masks_in),
        ("mask", "image", masks, images, images_in),
    ):
        alone = sorted(have.keys() - lack.keys())
        if alone:
            count = f"{len(alone)} of {len(have)} {kind}s have" if len(alone) > 1 else f"one {kind} has"
            raise DataError(
                f"{count} no {other} in {where}, first {have[alone[0]]}: add what is missing or remove the {kind}"
            )
    return [Pair(name, images[name], masks[name]) for name in sorted(images)]


def divided(
    pairs: Sequence[Pair], shares: Mapping[str, float], *, seed: int, where: Path
) -> dict[str, tuple[Pair, ...]]:
    """Divide pairs at random into splits; the same names and seed give the same splits on every machine.

    Args:
        pairs: What to divide.
        shares: Fraction of each split, in (0, 1), in total 1. The first one takes the rounding error.
        seed: Seed of the shuffle.
        where: The folder, for messages.

    Raises:
        ValueError: the seed is negative.
        DataError: there are fewer pairs than splits.
    """
    if seed < 0:
        raise ValueError(f"split_seed is {seed!r}: expected 0 or more")
    if len(pairs) < len(shares):
        raise DataError(f"{where} has {counted(len(pairs), 'image')}, too few for {', '.join(shares)}: add some")
    ordered = sorted(pairs, key=lambda pair: pair.name)
    # The raw stream of a bit generator is frozen by NumPy's policy; that of Generator.permutation is not.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(ordered)), kind="stable")
    first, *others = shares
    counts = {name: max(1, round(shares[name] * len(ordered))) for name in others}
    counts = {first: max(1, len(ordered) - sum(counts.values())), **counts}
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = tuple(ordered[index] for index in sorted(order[start : start + count]))
        start += count
    return parts
