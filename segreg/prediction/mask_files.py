"""Predictions for many files: masks, overlays and probabilities in a folder, each written as soon as it is computed."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
from numpy.lib import format as npy
from PIL import Image

from segreg.data.image_files import SUFFIXES, Pixels
from segreg.data.pairs import images_by_stem
from segreg.errors import DataError, RunError, did_you_mean
from segreg.prediction.images import ImageLike
from segreg.prediction.predictor import Predictor
from segreg.prediction.probabilities import classes_of
from segreg.prediction.tiles import Strip
from segreg.support.files import replacing, writing
from segreg.support.render import borders, overlay, rgb_view, write_mask
from segreg.task import Task

IfExists: TypeAlias = Literal["error", "skip", "overwrite"]

_FILES = ("mask", "overlay", "probabilities")
_OVERLAY_SIDE = 2048
# Files that show that a folder is not one of images, though it may contain some.
_NOT_IMAGES = {"recipe.toml": "run", "model.safetensors": "model", "study.toml": "study"}


@attrs.frozen(kw_only=True)
class Output:
    """Where the predictions of one image are written.

    Args:
        image: The image's file.
        mask: A PNG of class indices, with a palette, or None.
        overlay: A JPEG of the image with the classes laid over it, at most 2048 pixels long, or None.
        probabilities: A NumPy array, float16 [K, H, W], or None.
    """

    image: Path
    mask: Path | None
    overlay: Path | None
    probabilities: Path | None

    @property
    def files(self) -> list[Path]:
        """The files to write."""
        return [path for path in (getattr(self, field) for field in _FILES) if path]


def plan(
    sources: Sequence[Path], out: Path, *, overlays: bool, probabilities: bool, if_exists: IfExists = "error"
) -> list[Output]:
    """Decide where the predictions of files, and of all images in folders, are written.

    Args:
        sources: Files and folders.
        out: The folder for `masks/`, `overlays/` and `probabilities/`.
        overlays: Whether to write overlays.
        probabilities: Whether to write probabilities.
        if_exists: What to do if a file exists already: `error` writes nothing, `skip` keeps it and writes what is
            missing, `overwrite` replaces it.

    Raises:
        DataError: a source does not exist, a folder has no images, two images have the same name, or a file would
            overwrite an image.
        RunError: files exist already and `if_exists` is `error`.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for name, path in _images(source).items():
            if name in found and found[name] != path:
                raise DataError(f"{found[name]} and {path} would both become {name}.png: predict them separately")
            found[name] = path
    outputs = [
        Output(
            image=path,
            mask=out / "masks" / f"{name}.png",
            overlay=out / "overlays" / f"{name}.jpg" if overlays else None,
            probabilities=out / "probabilities" / f"{name}.npy" if probabilities else None,
        )
        for name, path in found.items()
    ]
    given = {path.resolve() for path in found.values()}
    for file in (file for output in outputs for file in output.files):
        if file.resolve() in given:
            raise DataError(f"{file} is one of the input images: choose another --out")
    there = [file for output in outputs for file in output.files if file.exists()]
    if there and if_exists == "error":
        exist = f"and {len(there) - 1} more exist" if len(there) > 1 else "exists"
        raise RunError(f"{there[0]} {exist} already: choose another --out, or --if-exists skip or overwrite")
    if if_exists == "skip":
        outputs = [_without(output, set(there)) for output in outputs]
    return [output for output in outputs if output.files]


def _without(output: Output, kept: set[Path]) -> Output:
    nothing: dict[str, Any] = {field: None for field in _FILES if getattr(output, field) in kept}
    return attrs.evolve(output, **nothing)


def _images(source: Path) -> dict[str, Path]:
    if source.is_dir():
        kind = next((kind for file, kind in _NOT_IMAGES.items() if (source / file).exists()), None)
        if kind:
            raise DataError(f"{source} is a {kind}, not a folder of images: segreg predict takes one model at a time")
        inside = images_by_stem(source)
        if not inside:
            near = f", but {source / 'images'} may have" if (source / "images").is_dir() else ""
            raise DataError(f"{source} has no images{near}: expected files such as {', '.join(sorted(SUFFIXES))}")
        return inside
    if not source.exists():
        siblings = [each.name for each in source.parent.iterdir()] if source.parent.is_dir() else []
        raise DataError(f"{source} does not exist{did_you_mean(source.name, siblings)}: expected images or folders")
    return {source.stem: source}


def predict_files(
    predictor: Predictor, outputs: Sequence[Output], progress: Callable[[int, int], None]
) -> list[tuple[Path, str]]:
    """Predict images and write the requested files, each completely or not at all.

    Args:
        predictor: The model.
        outputs: The result of `plan`.
        progress: Called with the number of images done and the total.

    Returns:
        The images that could not be read, each with the reason in one line.

    Raises:
        RunError: a file cannot be written.
        OptionError: there is not enough memory.
    """
    task = predictor.about.task
    failures: list[tuple[Path, str]] = []
    read: deque[tuple[Output, tuple[int, int], Pixels | None]] = deque()

    def readable() -> Iterator[Pixels]:
        for output, pixels in _read_ahead(outputs, predictor.pixels):
            if isinstance(pixels, DataError):
                failures.append((output.image, str(pixels)))
                continue
            small = _shrunk(pixels) if output.overlay else None
            read.append((output, (pixels.shape[0], pixels.shape[1]), small))
            yield pixels

    for folder in {file.parent for output in outputs for file in output.files}:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    progress(0, len(outputs))
    for done, strips in enumerate(predictor.strips(readable()), 1):
        output, size, small = read.popleft()
        mask = _written(output, strips, size, task)
        if output.overlay and small is not None:
            _write_overlay(output.overlay, small, mask, task)
        if output.mask:
            write_mask(output.mask, mask, task)
        progress(done + len(failures), len(outputs))
    return failures


def _read_ahead(
    outputs: Sequence[Output], pixels_of: Callable[[ImageLike], Pixels]
) -> Iterator[tuple[Output, Pixels | DataError]]:
    """Read images, the next one while the model works on the current one."""

    def read(output: Output) -> Pixels | DataError:
        try:
            return pixels_of(output.image)
        except DataError as error:
            return error

    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(read, output) for output in outputs[:1])
        for position, output in enumerate(outputs):
            pixels = coming.popleft().result()
            coming.extend(pool.submit(read, following) for following in outputs[position + 1 : position + 2])
            yield output, pixels


def _written(output: Output, strips: Iterator[Strip], size: tuple[int, int], task: Task) -> Pixels:
    """Return the mask, and write the probabilities along the way if requested."""
    mask = np.empty(size, dtype=np.uint8)
    if not output.probabilities:
        for top, strip in strips:
            mask[top : top + strip.shape[1]] = classes_of(task, strip)
        return mask
    height, width = size
    with replacing(output.probabilities) as aside, aside.open("wb") as file:
        about = {"descr": "<f2", "fortran_order": False, "shape": (task.num_classes, height, width)}
        npy.write_array_header_1_0(file, about)
        begin = file.tell()
        for top, strip in strips:
            mask[top : top + strip.shape[1]] = classes_of(task, strip)
            # Class by class, as the array is laid out in the file.
            for index, rows in enumerate(strip.cpu().numpy().astype("<f2")):
                file.seek(begin + 2 * width * (index * height + top))
                file.write(rows.tobytes())
    return mask


def _write_overlay(path: Path, image: Pixels, mask: Pixels, task: Task) -> None:
    height, width = image.shape[:2]
    small = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    shown = overlay(image, small, task)
    shown[borders(small)] = 255
    with replacing(path) as aside:
        Image.fromarray(shown).save(aside, quality=92)


def _shrunk(pixels: Pixels) -> Pixels:
    """Return an image for display: three channels, and no larger than an overlay."""
    image = Image.fromarray(rgb_view(pixels))
    image.thumbnail((_OVERLAY_SIDE, _OVERLAY_SIDE))
    return np.asarray(image)
