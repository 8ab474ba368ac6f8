import multiprocessing
import pickle
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from segreg.builtins.datasets.lesions import Lesions
from segreg.contracts import SegmentationDataset


@pytest.fixture(scope="module")
def dataset():
    return Lesions()


@pytest.fixture(scope="module")
def samples(dataset):
    return [sample for part in dataset.splits.values() for sample in part]


def grown(mask, pixels):
    """The mask, larger by so many pixels, or smaller by as many if negative."""
    blurred = np.asarray(Image.fromarray(mask * np.uint8(255)).filter(ImageFilter.BoxBlur(abs(pixels))))
    return blurred > 0 if pixels > 0 else blurred == 255


def test_the_dataset_has_the_documented_form(dataset, samples):
    assert isinstance(dataset, SegmentationDataset)
    assert list(dataset.classes) == ["lesion"]
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 96, "valid": 48, "test": 48}
    assert len({name for part in dataset.splits.values() for name in part.names}) == 192
    for image, mask in samples:
        assert (image.shape, image.dtype) == ((128, 128, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((128, 128), np.uint8)
        assert set(np.unique(mask)) == {0, 1}


def test_no_two_images_are_identical(samples):
    assert len({image.tobytes() for image, _ in samples}) == 192
    assert len({mask.tobytes() for _, mask in samples}) == 192


def test_lesions_cover_as_much_of_the_image_as_in_ph2(samples):
    shares = np.array([mask.mean() for _, mask in samples])
    assert 0.04 < shares.min() < 0.1
    assert 0.6 < shares.max() < 0.8
    assert 0.25 < shares.mean() < 0.35


def test_skin_colours_vary_as_in_real_images(samples):
    skin = np.array([np.median(image[~grown(mask, 9)], axis=0) for image, mask in samples if mask.mean() < 0.4])
    red, green, blue = skin.T
    assert np.mean((red > green) & (red > blue)) > 0.9
    assert np.percentile(red, 95) > 220
    assert np.percentile(red, 5) < 170
    corners = np.array([image[:4, :4].mean() for image, _ in samples])
    assert 0.2 < np.mean(corners < 80) < 0.8


def test_lesions_are_darker_than_the_skin_around_them_but_not_always_by_much(samples):
    y, x = np.mgrid[:128, :128] - 63.5
    opening = np.hypot(x, y) < 56
    contrast = []
    for image, mask in samples:
        inside, outside = opening & grown(mask, -2), opening & grown(mask, 10) & ~grown(mask, 4)
        if inside.any() and outside.any():
            contrast.append(image[outside, 1].mean() - image[inside, 1].mean())
    assert len(contrast) > 170
    assert np.mean(np.array(contrast) > 10) > 0.95
    assert np.percentile(contrast, 10) < 55
    assert np.percentile(contrast, 90) > 90


def test_the_mask_is_where_the_image_changes(samples):
    """The step across the outline is larger than across the same outline moved by five pixels."""
    sharper = []
    for image, mask in samples:
        green = image[..., 1].astype(float)
        steps = []
        for shift in (0, -5, 5):
            moved = np.roll(mask, (shift, shift), (0, 1))
            outside, inside = grown(moved, 2) & (moved == 0), ~grown(moved, -2) & (moved == 1)
            steps.append(green[outside].mean() - green[inside].mean())
        sharper.append(steps[0] > max(steps[1:]))
    assert np.mean(sharper) > 0.95


@given(st.integers(0, 2**63), st.sampled_from(["train", "valid", "test"]), st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_a_sample_depends_only_on_seed_split_and_index(seed, split, place):
    few = Lesions(size=32, train=4, valid=4, test=4, seed=seed).splits[split]
    many = Lesions(size=32, train=9, valid=7, test=8, seed=seed).splits[split]
    for other in (3, 2, 1, 0):
        many[other]
    for one, another in zip(few[place], many[place], strict=True):
        np.testing.assert_array_equal(one, another)
    assert few.names[place] == many.names[place]


def test_another_seed_gives_other_images(dataset):
    other = Lesions(seed=1).splits["train"]
    assert all(np.mean(other[place][0] != dataset.splits["train"][place][0]) > 0.5 for place in range(5))


def test_a_smaller_image_shows_the_same_lesion(dataset):
    small = Lesions(size=64).splits["valid"]
    for place in range(6):
        large_image, large_mask = dataset.splits["valid"][place]
        image, mask = small[place]
        half = large_mask.reshape(64, 2, 64, 2).mean((1, 3)) > 0.5
        assert (half & (mask == 1)).sum() / (half | (mask == 1)).sum() > 0.94
        assert np.abs(large_image.reshape(64, 2, 64, 2, 3).mean((1, 3)) - image).mean() < 8


def test_changes_that_a_caller_makes_to_a_sample_do_not_persist():
    split = Lesions(size=32).splits["train"]
    image, mask = split[0]
    before = image.copy(), mask.copy()
    image[:] = 0
    mask[:] = 7
    for kept, again in zip(before, split[0], strict=True):
        np.testing.assert_array_equal(kept, again)


def test_a_split_is_a_sequence():
    split = Lesions(size=32, train=3).splits["train"]
    np.testing.assert_array_equal(split[-1][0], split[2][0])
    assert len(split[1:]) == 2
    assert len(list(split)) == 3
    with pytest.raises(IndexError):
        split[3]


def test_another_process_draws_the_same():
    split = Lesions(size=48).splits["test"]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = pool.submit(split.__getitem__, 5).result()
    for one, another in zip(split[5], theirs, strict=True):
        np.testing.assert_array_equal(one, another)


def test_drawn_samples_are_cached_and_pickled():
    split = Lesions(size=512).splits["train"]
    drawn = [split[place] for place in range(3)]
    copy = pickle.loads(pickle.dumps(split))
    start = time.process_time()
    for place in range(3):
        np.testing.assert_array_equal(copy[place][0], drawn[place][0])
    assert time.process_time() - start < 0.1  # to draw one takes longer than that
    np.testing.assert_array_equal(copy[3][1], split[3][1])


def test_an_image_takes_well_under_forty_milliseconds():
    split = Lesions(seed=3).splits["train"]
    taken = []
    for place in range(24):
        start = time.process_time()
        split[place]
        taken.append(time.process_time() - start)
    assert np.median(taken) < 0.03


@pytest.mark.parametrize(
    ("option", "value", "minimum"),
    [("size", 31, 32), ("train", 0, 1), ("valid", 0, 1), ("test", -1, 1), ("seed", -1, 0)],
)
def test_options_out_of_range(option, value, minimum):
    with pytest.raises(ValueError, match=f"{option} is {value}: expected {minimum} or more"):
        Lesions(**{option: value})
