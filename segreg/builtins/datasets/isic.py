"""The data of the ISIC challenges, task 1: lesion boundary segmentation."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segreg.builtins.datasets.synthetic import noise, rectangle, save
from segreg.contracts import Sample
from segreg.data.folders import need_folder, subfolders, wrong_folder
from segreg.data.pairs import Pair, Pairs, divided, images_by_stem, paired
from segreg.errors import DataError

_MASK = "_segmentation"
_PHASES = {"train": "training", "valid": "validation", "test": "test"}


class ISIC:
    """ISIC task 1 of 2016, 2017 or 2018: images `X.jpg`, masks `X_segmentation.png`.

    The splits are the challenge's own. If there is no validation folder, 25 % of the training images are set
    aside at random. The same is done for a single folder with images and masks side by side.

    Args:
        root: The folder that holds the unpacked downloads, such as `ISIC-2017_Training_Data` and
            `ISIC-2017_Training_Part1_GroundTruth`, or a folder with images and masks.
        split_seed: Seed of the random split, if there is one.

    Raises:
        DataError: a folder is missing or empty, or an image or a mask is missing.

    Reference: Codella et al., Skin Lesion Analysis Toward Melanoma Detection, 2017, arXiv:1710.05006;
        https://challenge.isic-archive.com/data/
    """

    classes: Sequence[str] = ("lesion",)
    splits: Mapping[str, Sequence[Sample]]

    def __init__(self, *, root: str | None = None, split_seed: int = 0) -> None:
        expected = "ISIC folders of images and ground truth, or X.jpg beside X_segmentation.png"
        folder = need_folder(root, dataset="isic", expected=f"the folder with {expected}")
        parts = {split: _phase(folder, phase) for split, phase in _PHASES.items()}
        if not any(parts.values()) and all(_by_id(folder)):
            parts["train"] = _pairs(folder, folder)
        if not parts["train"]:
            raise wrong_folder(folder, dataset="isic", expected=expected, fits=_is_root)
        if not parts["valid"]:
            parts |= divided(parts["train"], {"train": 0.75, "valid": 0.25}, seed=split_seed, where=folder)
        self.splits = {split: Pairs(tuple(part)) for split, part in parts.items() if part}


def _is_root(folder: Path) -> bool:
    return bool(_folder(folder, "training", "_data", "_input")) or all(_by_id(folder))


def _phase(root: Path, phase: str) -> Sequence[Pair]:
    """Return the pairs of one phase of a challenge; none if neither of its two folders exists."""
    images, masks = _folder(root, phase, "_data", "_input"), _folder(root, phase, "_groundtruth")
    if images and masks:
        return _pairs(images, masks)
    if images or masks:
        missing = "folder of ground truth" if images else "folder of images"
        raise DataError(f"{images or masks} has no {missing} beside it in {root}: add it, or move this folder away")
    return ()


def _folder(root: Path, phase: str, *endings: str) -> Path | None:
    """Return the folder of a phase of task 1 whose name has one of the endings."""
    found = [
        path
        for path in subfolders(root)
        if (name := path.name.lower()).endswith(endings) and phase in name and not re.search(r"(part|task)[23]", name)
    ]
    if len(found) > 1:
        raise DataError(f"{found[0]} and {found[1]} belong to different challenges: put each year into its own folder")
    return found[0] if found else None


def _pairs(images: Path, masks: Path) -> list[Pair]:
    return paired(_by_id(images)[0], _by_id(masks)[1], images_in=images, masks_in=masks)


def _by_id(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return a folder's images and masks by ISIC id. Superpixels and the attribute masks of task 2 are skipped."""
    found = images_by_stem(folder)
    masks = {stem[: -len(_MASK)]: path for stem, path in found.items() if stem.lower().endswith(_MASK)}
    no_image = re.compile(f"{_MASK}$|_superpixels$|_attribute_", re.IGNORECASE)
    return {stem: path for stem, path in found.items() if not no_image.search(stem)}, masks


def example(root: Path) -> None:
    """Write a few synthetic samples in the folders of the 2017 challenge."""
    for number, phase in enumerate(phase for phase in ("Training", "Validation", "Test_v2") for _ in range(2)):
        name = f"ISIC_{number:07}"
        save(root / f"ISIC-2017_{phase}_Data" / f"{name}.jpg", noise(number))
        save(root / f"ISIC-2017_{phase}_Part1_GroundTruth" / f"{name}_segmentation.png", rectangle(number))
