"""The CamVid dataset of road scenes, with the labels of the SegNet paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segreg.builtins.datasets.synthetic import noise, save
from segreg.contracts import Sample
from segreg.data.folders import image_and_mask_folders, need_folder, subfolder, wrong_folder
from segreg.data.pairs import Pairs, images_by_stem, paired
from segreg.errors import DataError

_IGNORED = 11
_TUTORIAL = {"train": "train", "valid": "val", "test": "test"}


class CamVid:
    """CamVid as in the SegNet paper: 11 classes, and a twelfth label, 11, for what belongs to none.

    Args:
        root: The folder `CamVid` of the SegNet tutorial, with `train`, `trainannot`, `val`, `valannot`, `test` and
            `testannot`, or a folder whose `train`, `val` and `test` hold `images` and `masks` each.

    Raises:
        DataError: a folder is missing or empty, or an image or a mask is missing.

    Reference: Brostow et al., Semantic Object Classes in Video, 2009; labels: Badrinarayanan et al., SegNet, 2015,
        arXiv:1511.00561; http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/
    """

    classes: Sequence[str] = (
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    )
    splits: Mapping[str, Sequence[Sample]]

    def __init__(self, *, root: str | None = None) -> None:
        expected = "train/ and trainannot/, or train/images/ and train/masks/"
        folder = need_folder(root, dataset="camvid", expected=f"the folder with {expected}")
        found = _folders(folder)
        if "train" not in found:
            raise wrong_folder(folder, dataset="camvid", expected=expected, fits=_folders)
        if "valid" not in found:
            raise DataError(f"{folder} has no folder val: CamVid includes one, with 101 images")
        self.splits = {
            split: Pairs(
                tuple(paired(images_by_stem(images), images_by_stem(masks), images_in=images, masks_in=masks)),
                num_classes=len(self.classes),
                ignore_value=_IGNORED,
            )
            for split, (images, masks) in found.items()
        }


def _folders(root: Path) -> Mapping[str, tuple[Path, Path]]:
    """Return the folders of images and of masks by split, in either layout."""
    tutorial = {split: (subfolder(root, name), subfolder(root, f"{name}annot")) for split, name in _TUTORIAL.items()}
    found = {split: (images, masks) for split, (images, masks) in tutorial.items() if images and masks}
    return found or image_and_mask_folders(root)


def example(root: Path) -> None:
    """Write a few synthetic samples in the folders of the SegNet tutorial."""
    for number, split in enumerate(split for split in ("train", "val", "test") for _ in range(2)):
        save(root / split / f"{number}.png", noise(number))
        save(root / f"{split}annot" / f"{number}.png", np.arange(12, dtype=np.uint8).repeat(16).reshape(12, 16))
