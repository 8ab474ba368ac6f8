"""Datasets that are wrong behind the sixteenth image, in threads, in another process, or that change the process."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from PIL import ImageFile
from segreg_faulty.datasets import Sound

from segreg_harmful import Documented


class _Many(Documented, Sound):
    """Forty images of noise in each split.

    Args:
        root: Not needed.
    """

    def __init__(self, *, root: str | None = None) -> None:
        super().__init__(root=root)

    def samples(self, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (40, 4, 5, 3), dtype=np.uint8)
        return [(image, (image[..., 0] > 99).astype(np.uint8)) for image in images]


class _Split(Sequence[Any]):
    """A split that reads its samples in some way."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self.all = samples

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, index: Any) -> Any:
        return self.all[index]


class ValidatesOnTheLast(_Many):
    """Has the last training image among the images to validate on."""

    def samples(self, seed: int) -> Any:
        samples = super().samples(seed)
        return samples if seed == 0 else [*samples[:30], super().samples(0)[-1], *samples[30:]]


class ValidatesOnTheSeventeenth(_Many):
    """Has one training image among the images to validate on, with another mask."""

    def samples(self, seed: int) -> Any:
        samples = super().samples(seed)
        if seed == 1:
            image, mask = super().samples(0)[16]
            samples[16] = image, 1 - mask
        return samples


class HasABadMask(_Many):
    """Has one mask with a value of no class."""

    def samples(self, seed: int) -> Any:
        samples = super().samples(seed)
        image, mask = samples[21]
        samples[21] = image, np.full_like(mask, 7)
        return samples


class HasABadShape(_Many):
    """Has one mask of another size than its image."""

    def samples(self, seed: int) -> Any:
        samples = super().samples(seed)
        image, mask = samples[-2]
        samples[-2] = image, mask[1:]
        return samples


class HasAGreyImage(_Many):
    """Has one image with fewer channels."""

    def samples(self, seed: int) -> Any:
        samples = super().samples(seed)
        image, mask = samples[33]
        samples[33] = image[..., :1], mask
        return samples


class _Failing(_Split):
    def __getitem__(self, index: Any) -> Any:
        if index == 18:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


class FailsOnOne(_Many):
    """Cannot read one sample."""

    def samples(self, seed: int) -> Any:
        return _Failing(super().samples(seed))


class HasTwoNames(_Many):
    """Names two of its samples."""

    def samples(self, seed: int) -> Any:
        samples = _Split(super().samples(seed))
        samples.names = (f"{seed}a", f"{seed}b")
        return samples


class HasANameTwice(_Many):
    """Calls two samples the same."""

    def samples(self, seed: int) -> Any:
        samples = _Split(super().samples(seed))
        samples.names = tuple(f"{seed}-{index % 39}" for index in range(40))
        return samples


class HasNumbersForNames(_Many):
    """Names its samples by numbers."""

    def samples(self, seed: int) -> Any:
        samples = _Split(super().samples(seed))
        samples.names = [40 * seed + index for index in range(40)]
        return samples


class _Remembering(_Split):
    def __getitem__(self, index: Any) -> Any:
        self.index = index
        len([self.all[self.index] for _ in range(3)])
        return self.all[self.index]


class RemembersTheIndex(_Many):
    """Notes which sample is read, and reads the one that is noted."""

    def samples(self, seed: int) -> Any:
        return _Remembering(super().samples(seed))


class _File(_Split):
    def __init__(self, samples: Sequence[Any]) -> None:
        super().__init__(samples)
        self.shape = samples[0][0].shape
        self.content = b"".join(image.tobytes() for image, _ in samples)

    def __getitem__(self, index: Any) -> Any:
        if not hasattr(self, "file"):
            self.file = TemporaryFile()  # noqa: SIM115 - it is meant to stay open
            self.file.write(self.content)
        size = int(np.prod(self.shape))
        _, mask = self.all[index]
        self.file.seek(index * size)
        return np.frombuffer(self.file.read(size), np.uint8).reshape(self.shape), mask

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "file"}


class SharesAFile(_Many):
    """Reads from one open file, at a place that every reader moves."""

    def samples(self, seed: int) -> Any:
        return _File(super().samples(seed))


class _Busy(_Split):
    busy = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        if self.busy:
            raise RuntimeError("the reader is busy")
        self.busy = True
        time.sleep(1e-3)
        yield
        self.busy = False

    def __getitem__(self, index: Any) -> Any:
        with self.alone():
            return self.all[index]


class ReadsOneAtATime(_Many):
    """Refuses a second reader."""

    def samples(self, seed: int) -> Any:
        return _Busy(super().samples(seed))


class _Late(_Split):
    table: Any = None

    def __getitem__(self, index: Any) -> Any:
        if self.table is None:
            self.table = {}
            for place, sample in enumerate(self.all):
                self.table[place] = sample
        return self.table[index]


class FillsItsTableLate(_Many):
    """Lists its samples when the first one is read."""

    def samples(self, seed: int) -> Any:
        return _Late(super().samples(seed))


class _Buffered(_Split):
    def __getitem__(self, index: Any) -> Any:
        image, mask = self.all[index]
        if not hasattr(self, "buffer"):
            self.buffer = image.copy()
        self.buffer[:] = image
        return self.buffer, mask


class ReusesABuffer(_Many):
    """Returns every image in the same memory."""

    def samples(self, seed: int) -> Any:
        return _Buffered(super().samples(seed))


class DependsOnTheProcess(_Many):
    """Splits by the hash of names, which every process computes differently."""

    def samples(self, seed: int) -> Any:
        order = sorted(range(40), key=lambda index: hash(f"image-{index}"))
        return [super(DependsOnTheProcess, self).samples(seed)[index] for index in order]


class OrdersClassesByHash(_Many):
    """Lists its classes in the order of a set."""

    classes = tuple({f"class-{index}" for index in range(12)})


class DependsOnItsNumber(_Many):
    """Draws by the number of the process."""

    def samples(self, seed: int) -> Any:
        return super().samples(2 * os.getpid() + seed)


class ReseedsWhenOpened(_Many):
    """Shuffles with NumPy's generator, seeded for everybody."""

    def samples(self, seed: int) -> Any:
        np.random.seed(0)
        samples = super().samples(seed)
        return [samples[index] for index in np.random.permutation(40)]


class _Reseeding(_Split):
    def __getitem__(self, index: Any) -> Any:
        torch.manual_seed(int(index))
        return super().__getitem__(index)


class ReseedsWhenRead(_Many):
    """Seeds torch with the index of each sample."""

    def samples(self, seed: int) -> Any:
        return _Reseeding(super().samples(seed))


class ShufflesForAll(_Many):
    """Draws from Python's generator."""

    def samples(self, seed: int) -> Any:
        random.random()
        return super().samples(seed)


class LoadsTruncatedImages(_Many):
    """Lets Pillow accept damaged images, also those of others."""

    def samples(self, seed: int) -> Any:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        return super().samples(seed)
