"""Made-up samples in the layouts of the datasets that need files, for a check where the data are not."""

from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

_SPLITS = ("train", "val", "test")


def ph2(root: Path) -> None:
    """Write a folder as PH2 is distributed."""
    for number, (image, mask) in zip(range(1, 9), map(_binary, count()), strict=False):
        case = root / "PH2 Dataset images" / f"IMD{number:03}"
        _save(case / f"{case.name}_Dermoscopic_Image" / f"{case.name}.bmp", image)
        _save(case / f"{case.name}_lesion" / f"{case.name}_lesion.bmp", mask)


def isic(root: Path) -> None:
    """Write the folders of the challenge of 2017."""
    numbers = count()
    for phase in ("Training", "Validation", "Test_v2"):
        for number in (next(numbers), next(numbers)):
            image, mask = _binary(number)
            _save(root / f"ISIC-2017_{phase}_Data" / f"ISIC_{number:07}.jpg", image)
            _save(root / f"ISIC-2017_{phase}_Part1_GroundTruth" / f"ISIC_{number:07}_segmentation.png", mask)


def folder(root: Path) -> None:
    """Write `images` and `masks` with binary masks."""
    for number in range(8):
        image, mask = _binary(number)
        _save(root / "images" / f"{number}.jpg", image)
        _save(root / "masks" / f"{number}.png", mask)


def camvid(root: Path) -> None:
    """Write the folders of the SegNet tutorial."""
    numbers = count()
    for split in _SPLITS:
        for number in (next(numbers), next(numbers)):
            _save(root / split / f"{number}.png", _noise(number))
            _save(root / f"{split}annot" / f"{number}.png", np.arange(12, dtype=np.uint8).repeat(16).reshape(12, 16))


def _binary(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:8, 3 : 6 + seed] = 255
    return _noise(seed), mask


def _noise(seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def _save(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
