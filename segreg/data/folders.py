"""Finds a dataset's folders; the error for a missing one says what was expected and what is there instead."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segreg.errors import DataError, did_you_mean

SPLITS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}
"""The names that a split's folder may have."""


def need_folder(root: str | os.PathLike[str] | None, *, dataset: str, expected: str) -> Path:
    """Return `root` as the path of an existing folder.

    Args:
        root: What the user gave.
        dataset: The dataset's name, for messages.
        expected: What the folder is, for messages.

    Raises:
        DataError: it was not given, does not exist or is not a folder. A folder with a similar name is suggested.
    """
    if root is None:
        raise DataError(f"{dataset} needs root=FOLDER, {expected}: see docs/guides/data.md for where to get it")
    try:
        path = Path(root).expanduser()
        if path.is_dir():
            return path
        if path.exists():
            raise DataError(f"root {path} of {dataset} is a file: give the folder, {expected}")
        siblings = subfolders(path.parent) if path.parent.is_dir() else []
    except (OSError, RuntimeError) as cause:  # a name that is too long, the home of an unknown user
        reason = cause.strerror if isinstance(cause, OSError) else cause
        raise DataError(f"root {root} of {dataset} cannot be opened ({reason}): give {expected}") from cause
    near = did_you_mean(path.name, [sibling.name for sibling in siblings])
    raise DataError(f"root {path} of {dataset} does not exist{near}: give {expected}")


def wrong_folder(root: Path, *, dataset: str, expected: str, fits: Callable[[Path], object]) -> DataError:
    """Return the error for a folder without the expected content. The parent or a child that fits is suggested.

    Args:
        root: What the user gave.
        dataset: The dataset's name.
        expected: What the folder should hold.
        fits: Returns something true for a folder with the expected content.
    """
    for near in (root.resolve().parent, *subfolders(root)):
        with suppress(DataError, OSError):
            if fits(near):
                return DataError(f"root {root} of {dataset} lacks {expected}: did you mean root={near}?")
    content = ", ".join(path.name for path in entries(root)[:5]) or "nothing"
    return DataError(f"root {root} of {dataset} lacks {expected} (it holds {content}): see docs/guides/data.md")


def entries(folder: Path) -> list[Path]:
    """Return everything in a folder, sorted.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as cause:
        raise DataError(
            f"{folder} cannot be listed ({cause.strerror}): check that it exists and is readable"
        ) from cause


def subfolders(parent: Path) -> list[Path]:
    """Return the folders in `parent`, sorted, without hidden ones."""
    return [path for path in entries(parent) if path.is_dir() and not path.name.startswith(".")]


def subfolder(parent: Path, *names: str) -> Path | None:
    """Return the folder in `parent` that has one of the names, in any case, or None.

    Raises:
        DataError: several do.
    """
    found = [path for path in subfolders(parent) if path.name.lower() in names]
    if len(found) > 1:
        raise DataError(f"{found[0]} and {found[1]} mean the same: remove one of them")
    return found[0] if found else None


def image_and_mask_folders(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and of masks by split.

    Both `train/images` with `train/masks` and `images/train` with `masks/train` are supported. Without a level for
    splits the only key is "". Without such folders the result is empty.

    Raises:
        DataError: images come without masks, or masks without images.
    """
    images, masks = subfolder(root, "images"), subfolder(root, "masks")
    if not images and not masks:
        levels = {split: subfolder(root, *names) for split, names in SPLITS.items()}
        return {
            split: _both(subfolder(level, "images"), subfolder(level, "masks"), f"{level}/images", f"{level}/masks")
            for split, level in levels.items()
            if level
        }
    images, masks = _both(images, masks, f"{root}/images", f"{root}/masks")
    found = {}
    for split, names in SPLITS.items():
        couple = subfolder(images, *names), subfolder(masks, *names)
        if any(couple):
            found[split] = _both(*couple, f"{images}/{split}", f"{masks}/{split}")
    return found or {"": (images, masks)}


def _both(images: Path | None, masks: Path | None, images_at: str, masks_at: str) -> tuple[Path, Path]:
    if images and masks:
        return images, masks
    raise DataError(f"folder {masks_at if images else images_at} does not exist: images and masks go side by side")
