"""A trained model for prediction: masks and probabilities for images of any size."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from segreg.data.decode import resized
from segreg.data.image_files import MAX_PIXELS, Pixels
from segreg.deployment import hub
from segreg.errors import OptionError, SegregError
from segreg.nn.fuse import ready_to_predict
from segreg.nn.normalized import Normalized
from segreg.options import structure
from segreg.prediction.images import ImageLike, mean_and_std, pixels_of
from segreg.prediction.probabilities import VIEWS, classes_of, enlarged, undo_view, view
from segreg.prediction.tiles import Strip, blended
from segreg.runs.locate import weights_of
from segreg.runs.model_file import About, read_model
from segreg.runs.run import Run
from segreg.support.device import Precision, autocast, detect, is_out_of_memory

# Enough to keep the CPU or the accelerator busy, and small beside the weights.
_PIXELS_AT_ONCE = 2**19
_PIXELS_WAITING = 2**25

# Maximum size of a file that is cut into tiles, which takes seven bytes per pixel to read. Any other may be a
# decompression bomb.
_LARGE = 500_000_000


@attrs.frozen(eq=False, kw_only=True)
class Predictor:
    """A trained model that takes images in any common form. Returned by `segreg.load`.

    Args:
        model: The model, with the normalisation of its input.
        about: The metadata in its file.
        device: Device to compute on.
        precision: Precision of convolutions, as in `Recipe`.
        tile: Height and width of the tiles that images are cut into at their own scale, in pixels. With None an
            image is resized as a whole to the training size.
        overlap: Minimum overlap of tiles, in pixels.
        tta: Whether to average over the eight rotated and flipped views of an image.
        weights: The file that the model was read from; the scores of a finished run go into its model card.
    """

    model: Normalized
    about: About
    device: torch.device
    precision: Precision = "auto"
    tile: int | None = None
    overlap: int = 0
    tta: bool = False
    weights: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Check tile and overlap against each other and the model."""
        if self.tile is None:
            return
        minimum = self.about.min_size
        if self.tile < minimum:
            raise OptionError(f"tile is {self.tile}: expected {minimum} or more for {self.about.architecture}")
        if not 0 <= self.overlap < self.tile:
            raise OptionError(f"overlap is {self.overlap}: expected 0 or more, and less than the tile, {self.tile}")

    def predict(self, image: ImageLike) -> Pixels:
        """Return the mask of an image, at the image's own size.

        Args:
            image: A path, a PIL image, an array [H, W, C], or a tensor [C, H, W]; the last two uint8, or float in
                [0, 1]. Files are rotated upright by their EXIF orientation.

        Shapes:
            returns: uint8 [H, W]: 0 and 1 for a binary task, else class indices in the order of `about.classes`.

        Raises:
            DataError: the image cannot be read or used.
            OptionError: there is not enough memory.
        """
        pixels = self.pixels(image)
        mask = np.empty(pixels.shape[:2], dtype=np.uint8)
        for top, strip in next(self.strips([pixels])):
            mask[top : top + strip.shape[1]] = classes_of(self.about.task, strip)
        return mask

    def probabilities(self, image: ImageLike) -> npt.NDArray[np.float32]:
        """Return the probability of each class at each pixel, at the image's own size.

        Args:
            image: As for `predict`.

        Shapes:
            returns: float32 [K, H, W] in [0, 1]: of the foreground for a binary task (K = 1), else summing to 1 over K.

        Raises:
            DataError, OptionError: as for `predict`.
        """
        return next(self.probabilities_of([image]))

    def probabilities_of(self, images: Iterable[ImageLike]) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the probabilities of many images, in their order, computed in batches.

        Args, Shapes, Raises: as for `probabilities`.
        """
        for strips in self.strips(map(self.pixels, images)):
            # Most images are one strip.
            parts = [strip.cpu().numpy() for _, strip in strips]
            yield parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def pixels(self, image: ImageLike) -> Pixels:
        """Return the pixels of an image, as `strips` takes them.

        Shapes:
            returns: uint8 [H, W, C].

        Raises:
            DataError: as for `predict`.
        """
        return pixels_of(image, self.about.in_channels, self.max_pixels)

    @property
    def max_pixels(self) -> int:
        """Maximum size of an image file, in pixels."""
        return _LARGE if self.tile else MAX_PIXELS

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, token: str | None = None, **options: Any
    ) -> "Predictor":
        """Load a model written by `save_pretrained` or `push_to_hub`. From the Hub only its weights are fetched.

        Args:
            source: A folder, or the name of a repository on the Hugging Face Hub, such as `somebody/lesions`.
            revision: Branch, tag or commit of the repository.
            token: Access token, for a private repository; by default the one stored by huggingface_hub.
            options: As for `segreg.load`.

        Raises:
            RunError: it cannot be fetched, or was not written by segreg.
            PluginError: the plugin that the model came from is not installed, or broken.
            OptionError: an option has an invalid value, or huggingface_hub is not installed.
        """
        path = Path(source) if Path(source).exists() else hub.fetch(str(source), revision, token)
        return load(path, **options)

    def save_pretrained(self, directory: str | Path, *, force: bool = False) -> None:
        """Write the model into a folder in the layout of model hubs.

        `model.safetensors` is enough to load it. `config.json` repeats its metadata, and `README.md` is a model card,
        with the data and the scores of the run if the model is from a finished one. The licence is yours to fill in; an
        existing `README.md` is kept.

        Args:
            directory: Created if it does not exist.
            force: Overwrite an existing model.

        Raises:
            RunError: the directory already holds a model, or cannot be written to.
        """
        hub.save(Path(directory), self.model.model, self.about, self._run, force)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
        """Write what `save_pretrained` writes to a repository on the Hugging Face Hub, in one commit.

        Args:
            repo_id: Such as `somebody/lesions`; the repository is created if it does not exist. An existing `README.md`
                is kept.
            private: Whether a new repository is private; by default as the account is set up.
            token: Access token; by default the one stored by huggingface_hub.

        Returns:
            The URL of the commit.

        Raises:
            RunError: the Hub refuses it.
            OptionError: huggingface_hub is not installed.
        """
        return hub.push(repo_id, self.model.model, self.about, self._run, private, token)

    @property
    def _run(self) -> Run | None:
        if not self.weights or self.weights.name != hub.WEIGHTS:
            return None
        run = Run(self.weights.parent)
        with suppress(SegregError):
            # A run that uses a component that is not installed cannot be described.
            return run if run.finished and run.recipe else None
        return None

    def strips(self, images: Iterable[Pixels]) -> Iterator[Iterator[Strip]]:
        """Yield the probabilities of each image in strips from top to bottom, which need not be held all at once.

        A strip's tensor is on the predictor's device. Consume the strips of one image before those of the next.

        Shapes:
            images: uint8 [H, W, C].
        """
        return self._tiled(images) if self.tile else self._whole(images)

    def _whole(self, images: Iterable[Pixels]) -> Iterator[Iterator[Strip]]:
        height, width = self.about.size
        at_once = max(1, _PIXELS_AT_ONCE // (height * width))
        waiting: list[tuple[Tensor, tuple[int, int]]] = []
        for pixels in images:
            small = torch.from_numpy(np.array(resized(pixels, (height, width), Image.Resampling.BILINEAR)))
            waiting.append((small, (pixels.shape[0], pixels.shape[1])))
            # The caller may hold on to the images until it gets their masks.
            if len(waiting) == at_once or sum(h * w for _, (h, w) in waiting) > _PIXELS_WAITING:
                yield from self._enlarged(waiting)
                waiting = []
        if waiting:
            yield from self._enlarged(waiting)

    def _enlarged(self, images: list[tuple[Tensor, tuple[int, int]]]) -> Iterator[Iterator[Strip]]:
        found = self._probabilities(torch.stack([small for small, _ in images]).permute(0, 3, 1, 2))
        for probabilities, (_, size) in zip(found, images, strict=True):
            yield enlarged(probabilities, size)

    def _tiled(self, images: Iterable[Pixels]) -> Iterator[Iterator[Strip]]:
        assert self.tile
        for pixels in images:
            height, width = pixels.shape[:2]
            spread = None
            if self.model.normalization == "image":
                mean, std = mean_and_std(pixels)
                spread = (std.to(self.device), mean.to(self.device))
            # An image smaller than the model takes: its last row and column are repeated.
            missing = [(0, max(0, self.about.min_size - length)) for length in (height, width)]
            padded = np.pad(pixels, [*missing, (0, 0)], mode="edge") if any(map(any, missing)) else pixels
            at_once = max(1, _PIXELS_AT_ONCE // min(self.tile**2, padded.shape[0] * padded.shape[1]))

            def predict(pieces: Tensor, spread: tuple[Tensor, Tensor] | None = spread) -> Tensor:
                return self._probabilities(pieces, spread)

            strips = blended(predict, padded, tile=self.tile, overlap=self.overlap, batch=at_once)
            yield ((top, strip[:, : height - top, :width]) for top, strip in strips if top < height)

    @torch.no_grad()
    def _probabilities(self, images: Tensor, spread: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Map images, uint8 [B, C, h, w], to probabilities, float32 [B, K, h, w] on the device."""
        try:
            images = images.to(self.device).float() / 255
            views = VIEWS if self.tta else VIEWS[:1]
            total: Tensor | None = None
            for rotations, flipped in views:
                found = self.about.task.activate(self._logits(view(images, rotations, flipped), spread))
                found = undo_view(found, rotations, flipped)
                total = found if total is None else total.add_(found)
            assert total is not None
            return total.div_(len(views))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            height, width = images.shape[2:]
            way_out = f"choose a smaller tile than {self.tile}" if self.tile else "free some, or use another device"
        raise OptionError(f"not enough memory on {self.device} for {height}×{width} pixels: {way_out}")

    def _logits(self, images: Tensor, spread: tuple[Tensor, Tensor] | None) -> Tensor:
        with autocast(self.device, self.precision):
            logits: Tensor = self._ready(images, spread)
        return logits.float()

    @cached_property
    def _ready(self) -> Normalized:
        return ready_to_predict(self.model.to(self.device), self.device, self.precision)


def load(
    source: str | Path | Run,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    tile: int | None = None,
    overlap: int | None = None,
    tta: bool = False,
) -> Predictor:
    """Load a trained model for prediction.

    The file may come from anybody: nothing in it is executed.

    Args:
        source: A run, its directory, or a `model.safetensors` that segreg wrote.
        device: `auto`, or one by name, such as `cpu` or `cuda:1`.
        precision: `bf16`, `fp32`, or `auto`, as in `Recipe`.
        tile: Cut images into tiles of this height and width, in pixels, at their own scale. By default an image is
            resized to the training size, predicted as a whole, and the result resized back: what the model learnt
            depends on scale. Tiles suit a model that was trained on crops of large images.
        overlap: Minimum overlap of tiles, in pixels, where their predictions are blended. By default 1/8 of the tile.
            The model should not use context further from a pixel than a quarter of the overlap.
        tta: Average over the eight rotated and flipped views of an image, which takes eight times as long. Not for
            images with a fixed orientation.

    Raises:
        RunError: the file does not exist, or was not written by segreg.
        PluginError: the plugin that the model came from is not installed, or broken.
        OptionError: an option has an invalid value.
    """
    tile, overlap = structure("tile", tile, int | None), structure("overlap", overlap, int | None)
    if overlap is not None and tile is None:
        raise OptionError(f"overlap is {overlap}: it applies to tiles only; set tile too, such as 512")
    precision = structure("precision", precision, Precision)
    chosen = detect(device)
    weights = weights_of(source)
    model, about = read_model(weights)
    if overlap is None:
        overlap = (tile or 0) // 8
    return Predictor(
        model=model,
        about=about,
        device=chosen,
        precision=precision,
        tile=tile,
        overlap=overlap,
        tta=tta,
        weights=weights,
    )
