"""The conformance checks of a dataset: `classes`, and `splits` of (image uint8 [H, W, C], mask uint8 [H, W])."""

import hashlib
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from threading import Barrier
from types import FrameType
from typing import Any

import attrs
import numpy as np
from torch import Tensor

from segreg.contracts import IGNORE_INDEX, Sample, SegmentationDataset
from segreg.task import task_of
from segreg.testing.process import expect_no_global_change
from segreg.testing.subject import Check, ComponentSubject, expect

# Of a large dataset every sample is read once. What needs more than that is checked for the first samples of each
# split, and as many among the others.
_AT_MOST = 16
_READERS = 4
_READINGS = 12
# Prints the classes and the digests of a dataset, which was described by the process that started this one.
_SCRIPT = """
import pickle, sys
path, kind, expression, options = pickle.load(sys.stdin.buffer)
sys.path[:] = path
from segreg.registry import registry
from segreg.testing.datasets import some_digests
print(*some_digests(registry().build(kind, expression, **options)), sep="\\n")
"""


@attrs.frozen
class Seen:
    """What is kept of a sample.

    Args:
        split: Its split.
        what: Its split and index, for messages.
        objection: What is wrong with its form; empty if nothing is.
        channels: Channels of the image.
        values: The values in its mask.
        digest: A digest of the image.
    """

    split: str
    what: str
    objection: str
    channels: int = 0
    values: tuple[int, ...] = ()
    digest: str = ""


@cache
def _survey(subject: ComponentSubject) -> Sequence[Seen]:
    """Read every sample once."""
    with subject.opened() as data:
        return [
            _seen(split, f"{split}[{index}]", samples[index])
            for split, samples in data.splits.items()
            for index in range(len(samples))
        ]


def _seen(split: str, what: str, sample: Sample) -> Seen:
    image, mask = sample
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3):
        return Seen(split, what, f"{what}: the image is {_form(image)}, not uint8 [H, W, C]")
    if not (isinstance(mask, np.ndarray) and mask.dtype == np.uint8 and mask.shape == image.shape[:2]):
        return Seen(split, what, f"{what}: the mask is {_form(mask)}, not uint8 {list(image.shape[:2])}")
    values = tuple(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    return Seen(split, what, "", image.shape[2], values, _digest(image))


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _some(data: SegmentationDataset) -> list[tuple[str, int]]:
    """Return the split and index of some samples: the first ones of each split, and some of the others."""
    return [
        (split, int(index))
        for split, samples in data.splits.items()
        for index in sorted({*range(len(samples))[:_AT_MOST], *np.linspace(0, len(samples) - 1, _AT_MOST).astype(int)})
    ]


def some_digests(data: SegmentationDataset) -> list[str]:
    """Return the classes, and a line for each split and each of some samples."""
    return [
        f"classes: {list(data.classes)}",
        *(f"the length of {split}: {len(samples)}" for split, samples in data.splits.items()),
        *(f"{split}[{index}]: {_digest(*data.splits[split][index])}" for split, index in _some(data)),
    ]


def has_classes_and_splits(subject: ComponentSubject) -> None:
    """`classes` are distinct names; `splits` has "train" and "valid" with images in each."""
    with subject.opened() as data:
        is_text = isinstance(data.classes, str)
        expect(not is_text, f"classes is the text {data.classes!r}: write a tuple, ({data.classes!r},)")
        named = all(isinstance(name, str) and name for name in data.classes)
        expect(named and len(data.classes) > 0, f"classes are {data.classes!r}, not names")
        expect(len(set(data.classes)) == len(data.classes), f"classes has a name twice: {list(data.classes)}")
        for split in ("train", "valid"):
            expect(split in data.splits, f"the split {split!r} is missing among {list(data.splits)}")
        for split, samples in data.splits.items():
            expect(split in ("train", "valid", "test"), f"a split is called {split!r}: expected train, valid or test")
            expect(len(samples) > 0, f"the split {split!r} is empty")


def samples_have_their_form(subject: ComponentSubject) -> None:
    """An image is uint8 [H, W, C], its mask uint8 [H, W]; all images have the same number of channels."""
    for sample in _survey(subject):
        expect(not sample.objection, sample.objection)
    channels = {sample.channels for sample in _survey(subject)}
    expect(len(channels) == 1, f"images have {sorted(channels)} channels: expected the same number for all")


def masks_name_classes(subject: ComponentSubject) -> None:
    """A mask holds indices of `classes`, or 0 and 1 where there is one class, and 255 for what is ignored."""
    with subject.opened() as data:
        limit = task_of(len(data.classes)).num_values
    for sample in _survey(subject):
        wrong = [value for value in sample.values if value >= limit and value != IGNORE_INDEX]
        expect(
            not wrong, f"{sample.what}: the mask has {wrong}: expected 0 to {limit - 1}, or {IGNORE_INDEX} to ignore"
        )
    known = {value for sample in _survey(subject) if sample.split == "train" for value in sample.values}
    expect(bool(known - {IGNORE_INDEX}), "every pixel of the training masks is ignored")


def every_sample_has_a_name(subject: ComponentSubject) -> None:
    """If a split has `names`, they are as many as its samples, distinct, and text."""
    with subject.opened() as data:
        for split, samples in data.splits.items():
            names = getattr(samples, "names", None)
            if names is None:
                continue
            expect(len(names) == len(samples), f"{split} has {len(names)} names for {len(samples)} samples")
            for name in names:
                expect(isinstance(name, str) and name != "", f"{split} has the name {name!r}: expected text")
            twice = [name for name, count in Counter(names).items() if count > 1]
            expect(not twice, f"{split} has the name {twice[0]!r} twice" if twice else "")


def access_is_repeatable(subject: ComponentSubject) -> None:
    """A sample is the same each time it is read, also after the dataset is opened again, and stays as it was read."""
    with subject.opened() as data:
        first = some_digests(data)
        _expect_equal(some_digests(data), first, "when it is read a second time")
        samples = [(f"{split}[{index}]", data.splits[split][index]) for split, index in _some(data)]
        kept = [f"{what}: {_digest(*sample)}" for what, sample in samples]
        _expect_equal(kept, first[-len(kept) :], "once other samples are read: it shares its memory with them")
    with subject.opened() as data:
        _expect_equal(some_digests(data), first, "when the dataset is opened a second time")


def threads_agree(subject: ComponentSubject) -> None:
    """A sample is the same when four threads read at once, as they do before a training."""
    with subject.prepared() as options:
        # Read by the threads from another one, which has cached nothing yet.
        alone, data = subject.build(**options), subject.build(**options)
        places = _some(alone)
        expected = {place: _digest(*alone.splits[place[0]][place[1]]) for place in places}
        order = places * (1 + _READINGS // len(places))

        together = Barrier(_READERS)

        def read(reader: int) -> None:
            together.wait()
            # Some get in each other's way at the same line, others a few lines apart.
            time.sleep(1e-3 * (reader // 2))
            sys.settrace(_give_way)
            try:
                for split, index in order[reader * 5 :][:_READINGS]:
                    same = _digest(*data.splits[split][index]) == expected[split, index]
                    expect(same, f"{split}[{index}] differs when {_READERS} threads read at once")
            finally:
                sys.settrace(None)

        with ThreadPoolExecutor(_READERS) as pool:
            for _ in pool.map(read, range(_READERS)):
                pass


def _give_way(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
    """Let another thread run before each line, so that they get in each other's way now and not in training."""
    time.sleep(1e-6)
    return _give_way


def processes_agree(subject: ComponentSubject) -> None:
    """Another process, with another hash seed, finds the same classes, lengths and samples."""
    with subject.prepared() as options:
        expected = some_digests(subject.build(**options))
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            input=pickle.dumps((sys.path, subject.entry.kind, subject.entry.key, dict(options))),
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "2718"},
        )
    lines = done.stderr.decode(errors="replace").splitlines()
    expect(done.returncode == 0, f"it cannot be opened in another process: {lines[-1] if lines else done.returncode}")
    _expect_equal(done.stdout.decode().splitlines(), expected, "in another process")


def _expect_equal(got: Sequence[str], expected: Sequence[str], when: str) -> None:
    for line, wanted in zip(got, expected, strict=False):
        expect(line == wanted, f"{wanted.partition(':')[0]} differs {when}")
    expect(len(got) == len(expected), f"the number of samples differs {when}")


def splits_end(subject: ComponentSubject) -> None:
    """A split is a sequence: it has a length, and raises `IndexError` past its end."""
    with subject.opened() as data:
        for split, samples in data.splits.items():
            try:
                samples[len(samples)]
            except IndexError:
                continue
            expect(False, f"{split}[{len(samples)}] returns a sample, but the split has {len(samples)}")


def splits_are_disjoint(subject: ComponentSubject) -> None:
    """No image, and no name where samples have names, is in two splits."""
    home: dict[str, str] = {}
    for sample in _survey(subject):
        other = home.setdefault(sample.digest or sample.what, sample.split)
        expect(other == sample.split, f"{sample.what} is also in the split {other!r}")
    with subject.opened() as data:
        for split, samples in data.splits.items():
            for name in getattr(samples, "names", ()):
                other = home.setdefault(name, split)
                expect(other == split, f"the name {name!r} is in the splits {other!r} and {split!r}")


def splits_go_to_workers(subject: ComponentSubject) -> None:
    """A split can be pickled, as for the workers of a data loader, and returns the same samples there."""
    with subject.opened() as data:
        for split, samples in data.splits.items():
            there = pickle.loads(pickle.dumps(samples))
            for index in islice(range(len(samples)), 2):
                same = all(np.array_equal(one, other) for one, other in zip(there[index], samples[index], strict=True))
                expect(same, f"{split}[{index}] differs after the split was pickled")


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Opening it and reading samples changes nothing of the process: settings, directory, random number generators."""

    def used() -> Iterator[tuple[str, Sequence[Tensor]]]:
        with subject.prepared() as options:
            data = subject.build(**options)
            yield "opening it", []
            for split, samples in data.splits.items():
                samples[0], samples[len(samples) - 1]
                yield f"reading samples of {split}", []

    expect_no_global_change(used)


def _form(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {list(array.shape)}"
    return type(array).__name__


CHECKS = (
    Check(has_classes_and_splits),
    Check(samples_have_their_form),
    Check(masks_name_classes),
    Check(every_sample_has_a_name),
    Check(access_is_repeatable),
    Check(threads_agree),
    Check(processes_agree),
    Check(splits_end),
    Check(splits_are_disjoint),
    Check(splits_go_to_workers),
    Check(global_state_is_not_modified),
)
