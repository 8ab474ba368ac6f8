"""The PH2 dataset of dermoscopic images."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segreg.builtins.datasets.synthetic import noise, rectangle, save
from segreg.contracts import Sample
from segreg.data.folders import need_folder, subfolder, subfolders, wrong_folder
from segreg.data.pairs import Pairs, divided, paired


class PH2:
    """PH2: 200 dermoscopic images of melanocytic lesions, with masks drawn by dermatologists.

    It comes without splits. The study's splits are drawn here: 50 % of the images for training, 25 % for validation
    and 25 % for testing; 100, 50 and 50 of the full set. They depend only on the names of the images and the seed.

    Args:
        root: The folder `PH2Dataset` as it is distributed, or the folder `PH2 Dataset images` in it.
        split_seed: Seed of the random split.

    Raises:
        DataError: the folder is missing or empty, or an image or a mask is missing.

    Reference: Mendonça et al., PH2: a dermoscopic image database for research and benchmarking, EMBC 2013;
        https://www.fc.up.pt/addi/ph2%20database.html
    """

    classes: Sequence[str] = ("lesion",)
    splits: Mapping[str, Sequence[Sample]]

    def __init__(self, *, root: str | None = None, split_seed: int = 0) -> None:
        folder = need_folder(root, dataset="ph2", expected="the folder PH2Dataset as it is distributed")
        cases = _cases(folder)
        if not cases:
            raise wrong_folder(folder, dataset="ph2", expected="folders named IMD001, IMD002, ...", fits=_cases)
        images = _existing({case.name: case / f"{case.name}_Dermoscopic_Image" / f"{case.name}.bmp" for case in cases})
        masks = _existing({case.name: case / f"{case.name}_lesion" / f"{case.name}_lesion.bmp" for case in cases})
        pairs = paired(images, masks, images_in=folder, masks_in=folder)
        parts = divided(pairs, {"train": 0.5, "valid": 0.25, "test": 0.25}, seed=split_seed, where=folder)
        self.splits = {split: Pairs(part) for split, part in parts.items()}


def _cases(root: Path) -> list[Path]:
    """Return the folders of the cases, one per image."""
    inner = subfolder(root, "ph2 dataset images") or root
    return [path for path in subfolders(inner) if re.fullmatch(r"IMD\d+", path.name)]


def _existing(files: Mapping[str, Path]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if path.is_file()}


def example(root: Path) -> None:
    """Write a few synthetic samples in the layout in which PH2 is distributed."""
    for number in range(8):
        case = root / "PH2 Dataset images" / f"IMD{number + 1:03}"
        save(case / f"{case.name}_Dermoscopic_Image" / f"{case.name}.bmp", noise(number))
        save(case / f"{case.name}_lesion" / f"{case.name}_lesion.bmp", rectangle(number))
