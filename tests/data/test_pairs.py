import pickle
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from segreg.data.pairs import Pair, Pairs, divided, images_by_stem, paired
from segreg.errors import DataError
from tests.builtins.datasets.files import blob, colours, save


def listed(names, where):
    return [Pair(name, where / f"{name}.jpg", where / f"{name}.png") for name in names]


@pytest.fixture
def pairs(tmp_path):
    for number in range(3):
        save(tmp_path / f"i{number}.png", colours(seed=number))
        save(tmp_path / f"m{number}.png", blob() * np.uint8(255))
    return Pairs(tuple(Pair(f"s{n}", tmp_path / f"i{n}.png", tmp_path / f"m{n}.png") for n in range(3)))


def test_a_split_decodes_the_requested_samples(pairs):
    assert len(pairs) == 3
    assert pairs.names == ("s0", "s1", "s2")
    for number, (image, mask) in enumerate(pairs):
        np.testing.assert_array_equal(image, colours(seed=number))
        np.testing.assert_array_equal(mask, blob())
    np.testing.assert_array_equal(pairs[-1][0], colours(seed=2))
    assert pairs[1:].names == ("s1", "s2")
    with pytest.raises(IndexError):
        pairs[3]


def test_a_split_survives_pickling(pairs):
    copy = pickle.loads(pickle.dumps(pairs))
    assert copy.names == pairs.names
    np.testing.assert_array_equal(copy[1][0], pairs[1][0])


@given(*[st.integers(1, 12)] * 4)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_sizes_that_differ_are_both_named(tmp_path, height, width, mask_height, mask_width):
    assume((height, width) != (mask_height, mask_width))
    image = save(tmp_path / "a.png", colours(height, width))
    mask = save(tmp_path / "b.png", np.zeros((mask_height, mask_width), np.uint8))
    with pytest.raises(DataError) as caught:
        Pairs((Pair("a", image, mask),))[0]
    message = str(caught.value)
    assert f"{image} is {width}×{height} " in message
    assert f"{mask} is {mask_width}×{mask_height}:" in message


def test_pairing_needs_no_decoding_and_sorts_by_name(tmp_path):
    names = ["b", "a", "c10", "c9"]
    files = {name: tmp_path / f"{name}.png" for name in names}
    assert [pair.name for pair in paired(files, files, images_in=tmp_path, masks_in=tmp_path)] == sorted(names)


def test_images_without_masks_are_counted_and_the_first_is_named(tmp_path):
    images = {name: tmp_path / f"{name}.jpg" for name in "abcd"}
    masks = {name: tmp_path / f"{name}.png" for name in "ac"}
    with pytest.raises(DataError, match=r"2 of 4 images have no mask in masks, first .*b\.jpg: add"):
        paired(images, masks, images_in="images", masks_in="masks")
    with pytest.raises(DataError, match=r"one image has no mask in masks, first .*b\.jpg"):
        paired({"b": images["b"]}, {}, images_in="images", masks_in="masks")


def test_masks_without_images_are_an_error_too(tmp_path):
    images = {name: tmp_path / f"{name}.jpg" for name in "ac"}
    masks = {name: tmp_path / f"{name}.png" for name in "abc"}
    with pytest.raises(DataError, match=r"one mask has no image in images, first .*b\.png"):
        paired(images, masks, images_in="images", masks_in="masks")


def test_no_images_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r".* contains no images: expected files such as \.bmp, "):
        paired({}, {}, images_in=tmp_path, masks_in=tmp_path)


def test_only_images_are_listed(tmp_path):
    save(tmp_path / "a.JPG", colours(), format="JPEG")
    save(tmp_path / "b.c.png", colours())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._a.jpg").write_bytes(b"left by macOS")
    (tmp_path / "folder.png").mkdir()
    assert images_by_stem(tmp_path) == {"a": tmp_path / "a.JPG", "b.c": tmp_path / "b.c.png"}


def test_two_images_with_the_same_stem_are_an_error(tmp_path):
    save(tmp_path / "a.jpg", colours())
    save(tmp_path / "a.png", colours())
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png have the same stem"):
        images_by_stem(tmp_path)


@given(st.integers(3, 300), st.integers(0, 2**40), st.randoms())
def test_a_division_is_a_partition_independent_of_the_order_of_files(tmp_path_factory, count, seed, shuffler):
    where = tmp_path_factory.getbasetemp()
    shares = {"train": 0.5, "valid": 0.25, "test": 0.25}
    pairs = listed([f"{number:03d}" for number in range(count)], where)
    parts = divided(pairs, shares, seed=seed, where=where)
    assert sorted((pair for part in parts.values() for pair in part), key=lambda pair: pair.name) == pairs
    assert list(parts) == list(shares)
    for split, share in shares.items():
        assert parts[split]
        assert abs(len(parts[split]) - share * count) <= 1
    random.Random(shuffler.random()).shuffle(pairs)
    assert divided(pairs, shares, seed=seed, where=where) == parts


@given(st.integers(2, 60), st.floats(0.001, 0.999))
def test_neither_of_two_parts_is_empty(tmp_path_factory, count, share):
    where = tmp_path_factory.getbasetemp()
    pairs = listed(map(str, range(count)), where)
    parts = divided(pairs, {"train": 1 - share, "valid": share}, seed=0, where=where)
    assert len(parts["train"]) + len(parts["valid"]) == count
    assert all(parts.values())


def test_a_division_is_the_same_on_every_machine(tmp_path):
    parts = divided(listed("01234567", tmp_path), {"train": 0.5, "valid": 0.25, "test": 0.25}, seed=0, where=tmp_path)
    names = {split: "".join(pair.name for pair in part) for split, part in parts.items()}
    assert names == {"train": "1236", "valid": "07", "test": "45"}


def test_another_seed_divides_differently(tmp_path):
    pairs = listed(map(str, range(50)), tmp_path)
    first, second = (divided(pairs, {"a": 0.5, "b": 0.5}, seed=seed, where=tmp_path) for seed in (0, 1))
    assert first != second


def test_too_few_images_to_divide_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"has 2 images, too few for train, valid, test"):
        divided(listed("ab", tmp_path), {"train": 0.5, "valid": 0.25, "test": 0.25}, seed=0, where=tmp_path)
    with pytest.raises(ValueError, match="split_seed is -1: expected 0 or more"):
        divided(listed("ab", tmp_path), {"train": 0.5, "valid": 0.5}, seed=-1, where=tmp_path)
