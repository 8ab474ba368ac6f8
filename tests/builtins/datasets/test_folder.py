import pickle

import numpy as np
import pytest

from segreg.builtins.datasets.folder import Folder
from segreg.contracts import SegmentationDataset
from segreg.errors import DataError
from tests.builtins.datasets.files import DATA, blob, colours, pair, realdata, save


def fill(images, masks, prefix="a", count=4):
    for number in range(count):
        pair(images, masks, f"{prefix}{number}")


def lengths(dataset):
    return {split: len(part) for split, part in dataset.splits.items()}


def test_images_and_masks_without_splits_are_divided(tmp_path):
    fill(tmp_path / "images", tmp_path / "masks", count=8)
    dataset = Folder(root=str(tmp_path))
    assert isinstance(dataset, SegmentationDataset)
    assert list(dataset.classes) == ["foreground"]
    assert lengths(dataset) == {"train": 6, "valid": 2}
    assert not set(dataset.splits["train"].names) & set(dataset.splits["valid"].names)
    image, mask = pickle.loads(pickle.dumps(dataset)).splits["train"][0]
    assert image.shape == (6, 8, 3)
    np.testing.assert_array_equal(mask, blob())


def test_fraction_and_seed_of_the_division(tmp_path):
    fill(tmp_path / "images", tmp_path / "masks", count=10)
    assert lengths(Folder(root=str(tmp_path), valid_fraction=0.4)) == {"train": 6, "valid": 4}
    first, again, other = (Folder(root=str(tmp_path), split_seed=seed).splits["train"].names for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("level", ["split first", "kind first"])
@pytest.mark.parametrize("valid", ["val", "valid", "validation", "Val"])
def test_splits_as_folders(tmp_path, level, valid):
    for split, count in (("train", 3), (valid, 2), ("test", 1)):
        if level == "split first":
            fill(tmp_path / split / "images", tmp_path / split / "masks", split, count)
        else:
            fill(tmp_path / "images" / split, tmp_path / "masks" / split, split, count)
    dataset = Folder(root=str(tmp_path))
    assert lengths(dataset) == {"train": 3, "valid": 2, "test": 1}
    assert dataset.splits["test"].names == ("test0",)


def test_without_a_validation_folder_the_training_images_are_divided(tmp_path):
    fill(tmp_path / "train" / "images", tmp_path / "train" / "masks", "a", 8)
    fill(tmp_path / "test" / "images", tmp_path / "test" / "masks", "t", 3)
    dataset = Folder(root=str(tmp_path))
    assert lengths(dataset) == {"train": 6, "valid": 2, "test": 3}
    assert dataset.splits["test"].names == ("t0", "t1", "t2")


def test_classes_and_ignored_pixels(tmp_path):
    for name in "abcd":
        save(tmp_path / "images" / f"{name}.jpg", colours(1, 4))
        save(tmp_path / "masks" / f"{name}.png", np.array([[0, 1, 2, 9]], np.uint8))
    dataset = Folder(root=str(tmp_path), classes=("sky", "sea", "land"), ignore_value=9)
    assert list(dataset.classes) == ["sky", "sea", "land"]
    np.testing.assert_array_equal(dataset.splits["train"][0][1], [[0, 1, 2, 255]])
    with pytest.raises(DataError, match="3 classes allow 0 to 2"):
        Folder(root=str(tmp_path), classes=("sky", "sea", "land")).splits["train"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ()}, r"classes is \(\): expected a tuple of 1 to 255 distinct names"),
        ({"classes": "lesion"}, "classes is 'lesion': expected a tuple"),
        ({"classes": ("a", "b", "a")}, "distinct names"),
        ({"valid_fraction": 0.0}, "valid_fraction is 0.0: expected a number between 0 and 1"),
        ({"valid_fraction": 1.0}, "valid_fraction is 1.0: expected a number between 0 and 1"),
        ({"ignore_value": 1}, "ignore_value is 1: expected 2 to 65535"),
        ({"ignore_value": 2, "classes": ("a", "b", "c")}, "ignore_value is 2: expected 3"),
        ({"split_seed": -1}, "split_seed is -1: expected 0 or more"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    fill(tmp_path / "images", tmp_path / "masks")
    with pytest.raises(ValueError, match=message):
        Folder(root=str(tmp_path), **options)


def test_a_missing_root_and_one_that_does_not_exist_are_named(tmp_path):
    with pytest.raises(DataError, match=r"folder needs root=FOLDER, a folder with images/ and masks/"):
        Folder()
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"image of folder does not exist \(did you mean 'images'\?\)"):
        Folder(root=str(tmp_path / "image"))


def test_an_empty_root(tmp_path):
    with pytest.raises(DataError, match=r"lacks images/ and masks/ \(it holds nothing\): see docs/guides/data\.md"):
        Folder(root=str(tmp_path))


def test_empty_images_and_masks(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"images contains no images"):
        Folder(root=str(tmp_path))


@pytest.mark.parametrize(("there", "lacking"), [("images", "masks"), ("masks", "images")])
def test_one_of_the_two_folders_is_missing(tmp_path, there, lacking):
    (tmp_path / there).mkdir()
    with pytest.raises(DataError, match=rf"folder {tmp_path}/{lacking} does not exist: images and masks go"):
        Folder(root=str(tmp_path))


def test_a_split_with_images_only(tmp_path):
    fill(tmp_path / "images" / "train", tmp_path / "masks" / "train")
    (tmp_path / "images" / "val").mkdir()
    with pytest.raises(DataError, match=rf"folder {tmp_path}/masks/valid does not exist"):
        Folder(root=str(tmp_path))
    (tmp_path / "images" / "val").rmdir()
    save(tmp_path / "other" / "train" / "images" / "a.png", colours())
    with pytest.raises(DataError, match=rf"folder {tmp_path}/other/train/masks does not exist"):
        Folder(root=str(tmp_path / "other"))


def test_two_folders_for_one_split(tmp_path):
    for split in ("train", "val", "valid"):
        fill(tmp_path / split / "images", tmp_path / split / "masks")
    with pytest.raises(DataError, match=r"val and .*valid mean the same"):
        Folder(root=str(tmp_path))


def test_nothing_to_train_on(tmp_path):
    fill(tmp_path / "val" / "images", tmp_path / "val" / "masks")
    with pytest.raises(DataError, match=r"has valid but no train: add a folder train"):
        Folder(root=str(tmp_path))


def test_for_a_root_one_level_off_the_right_one_is_suggested(tmp_path):
    fill(tmp_path / "set" / "images", tmp_path / "set" / "masks")
    for wrong in (tmp_path, tmp_path / "set" / "images"):
        with pytest.raises(DataError, match=rf"did you mean root={tmp_path / 'set'}\?"):
            Folder(root=str(wrong))


def test_an_image_without_its_mask(tmp_path):
    fill(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks" / "a2.png").unlink()
    with pytest.raises(DataError, match=r"one image has no mask in .*masks, first .*a2\.jpg"):
        Folder(root=str(tmp_path))


def test_a_mask_without_its_image(tmp_path):
    fill(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "images" / "a2.jpg").unlink()
    with pytest.raises(DataError, match=r"one mask has no image in .*images, first .*a2\.png"):
        Folder(root=str(tmp_path))


@realdata("isic2017")
def test_the_real_isic_folder():
    dataset = Folder(root=str(DATA / "isic2017"), classes=("lesion",))
    assert lengths(dataset) == {"train": 2000, "valid": 150}
    for image, mask in dataset.splits["valid"]:
        assert image.shape == (192, 256, 3)
        assert set(np.unique(mask)) == {0, 1}


@realdata("camvid")
def test_the_real_camvid_folder():
    dataset = Folder(root=str(DATA / "camvid"), classes=tuple("abcdefghijk"), ignore_value=11)
    assert lengths(dataset) == {"train": 367, "valid": 101}
    assert set(np.unique(dataset.splits["valid"][0][1])) <= {*range(11), 255}
