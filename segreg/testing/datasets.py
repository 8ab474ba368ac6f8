"""The conformance checks of a dataset: `classes`, and `splits` of (image uint8 [H, W, C], mask uint8 [H, W])."""

import hashlib
import pickle
from collections.abc import Iterator
from itertools import islice

import numpy as np

from segreg.contracts import IGNORE_INDEX, Sample, SegmentationDataset
from segreg.task import task_of
from segreg.testing.subject import Check, ComponentSubject, expect

# For a large dataset the first images must suffice.
_AT_MOST = 16


def _samples(data: SegmentationDataset) -> Iterator[tuple[str, str, Sample]]:
    """Yield the split, a label and the sample, for the first few samples of each split."""
    for split, samples in data.splits.items():
        for index in range(min(len(samples), _AT_MOST)):
            yield split, f"{split}[{index}]", samples[index]


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
    with subject.opened() as data:
        channels = set()
        for _, what, (image, mask) in _samples(data):
            fine = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            expect(fine, f"{what}: the image is {_form(image)}, not uint8 [H, W, C]")
            fine = isinstance(mask, np.ndarray) and mask.dtype == np.uint8 and mask.shape == image.shape[:2]
            expect(fine, f"{what}: the mask is {_form(mask)}, not uint8 {list(image.shape[:2])}")
            channels.add(image.shape[2])
        expect(len(channels) == 1, f"images have {sorted(channels)} channels: expected the same number for all")


def masks_name_classes(subject: ComponentSubject) -> None:
    """A mask holds indices of `classes`, or 0 and 1 where there is one class, and 255 for what is ignored."""
    with subject.opened() as data:
        limit = task_of(len(data.classes)).num_values
        for _, what, (_, mask) in _samples(data):
            wrong = [int(value) for value in np.unique(mask) if value >= limit and value != IGNORE_INDEX]
            expect(not wrong, f"{what}: the mask has {wrong}: expected 0 to {limit - 1}, or {IGNORE_INDEX} to ignore")
        ground_truths = [mask for split, _, (_, mask) in _samples(data) if split == "train"]
        expect(any((mask < limit).any() for mask in ground_truths), "every pixel of the training masks is ignored")


def access_is_repeatable(subject: ComponentSubject) -> None:
    """A sample is the same each time it is read, also after the dataset is opened again."""
    with subject.opened() as data:
        first = [sample for _, _, sample in _samples(data)]
        for (_, what, again), sample in zip(_samples(data), first, strict=True):
            same = all(np.array_equal(one, other) for one, other in zip(again, sample, strict=True))
            expect(same, f"{what} differs when it is read a second time")
    with subject.opened() as data:
        for (_, what, again), sample in zip(_samples(data), first, strict=True):
            same = all(np.array_equal(one, other) for one, other in zip(again, sample, strict=True))
            expect(same, f"{what} differs when the dataset is opened a second time")


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
    with subject.opened() as data:
        home: dict[str, str] = {}
        for split, what, (image, _) in _samples(data):
            digest = hashlib.sha256(image.tobytes() + str(image.shape).encode()).hexdigest()
            other = home.setdefault(digest, split)
            expect(other == split, f"{what} is also in the split {other!r}")
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


def _form(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {list(array.shape)}"
    return type(array).__name__


CHECKS = (
    Check(has_classes_and_splits),
    Check(samples_have_their_form),
    Check(masks_name_classes),
    Check(access_is_repeatable),
    Check(splits_end),
    Check(splits_are_disjoint),
    Check(splits_go_to_workers),
)
