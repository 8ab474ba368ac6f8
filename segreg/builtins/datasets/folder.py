"""Your own images and masks, in a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from segreg.builtins.datasets.synthetic import noise, rectangle, save
from segreg.contracts import IGNORE_INDEX, Sample
from segreg.data.folders import image_and_mask_folders, need_folder, wrong_folder
from segreg.data.pairs import Pairs, divided, images_by_stem, paired
from segreg.errors import DataError, shown
from segreg.task import task_of

_EXPECTED = "images/ and masks/"


class Folder:
    """Your own images: `images/` and `masks/`, where an image and its mask have the same name up to the suffix.

    The splits are folders `train`, `valid` (or `val`) and `test`, either above `images/` and `masks/` or inside them.
    Without a validation folder, part of the training images is set aside at random.

    Args:
        root: The folder that holds all this.
        classes: One name for binary masks (0 and 1, or 0 and 255), else the name of each class index.
        valid_fraction: Fraction of the training images to set aside if there is no `valid` folder, in (0, 1).
        split_seed: Seed of that random split.
        ignore_value: A mask value that means "no class here", up to 65535. In masks of class indices 255 always does.

    Raises:
        ValueError: an option has an invalid value.
        DataError: a folder is missing or empty, or an image or a mask is missing.
    """

    classes: Sequence[str]
    splits: Mapping[str, Sequence[Sample]]

    def __init__(
        self,
        *,
        root: str | None = None,
        classes: tuple[str, ...] = ("foreground",),
        valid_fraction: float = 0.25,
        split_seed: int = 0,
        ignore_value: int | None = None,
    ) -> None:
        if isinstance(classes, str) or not 1 <= len(set(classes)) == len(classes) <= IGNORE_INDEX:
            raise ValueError(f"classes is {shown(classes)}: expected a tuple of 1 to {IGNORE_INDEX} distinct names")
        if not 0 < valid_fraction < 1:
            raise ValueError(f"valid_fraction is {valid_fraction!r}: expected a number between 0 and 1")
        indices = task_of(len(classes)).num_values
        if ignore_value is not None and not indices <= ignore_value <= 65535:
            raise ValueError(
                f"ignore_value is {ignore_value!r}: expected {indices} to 65535 (smaller ones are classes)"
            )
        folder = need_folder(root, dataset="folder", expected=f"a folder with {_EXPECTED}")
        found = image_and_mask_folders(folder)
        if not found:
            raise wrong_folder(folder, dataset="folder", expected=_EXPECTED, fits=image_and_mask_folders)
        if "train" not in found and "" not in found:
            raise DataError(f"root {folder} of folder has {', '.join(found)} but no train: add a folder train")
        parts = {
            split: tuple(paired(images_by_stem(images), images_by_stem(masks), images_in=images, masks_in=masks))
            for split, (images, masks) in found.items()
        }
        if "valid" not in parts:
            training = parts.pop("" if "" in parts else "train")
            shares = {"train": 1 - valid_fraction, "valid": valid_fraction}
            parts |= divided(training, shares, seed=split_seed, where=folder)
        self.classes = classes
        self.splits = {
            split: Pairs(part, num_classes=len(classes), ignore_value=ignore_value) for split, part in parts.items()
        }


def example(root: Path) -> None:
    """Write a few synthetic samples into `images` and `masks`."""
    for number in range(8):
        save(root / "images" / f"{number}.jpg", noise(number))
        save(root / "masks" / f"{number}.png", rectangle(number))
