import numpy as np
import pytest

from segreg.builtins.datasets.camvid import CamVid
from segreg.contracts import SegmentationDataset
from segreg.errors import DataError
from tests.builtins.datasets.files import DATA, colours, realdata, save

TUTORIAL = {"train": ("train", "trainannot"), "val": ("val", "valannot"), "test": ("test", "testannot")}
NESTED = {split: (f"{split}/images", f"{split}/masks") for split in TUTORIAL}


def fill(root, layout, splits=("train", "val", "test")):
    for count, split in enumerate(splits, start=1):
        for number in range(count):
            images, masks = layout[split]
            save(root / images / f"{split}{number}.png", colours(3, 4))
            save(root / masks / f"{split}{number}.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    return root


@pytest.mark.parametrize("layout", [TUTORIAL, NESTED], ids=["tutorial", "nested"])
def test_both_layouts_are_read(tmp_path, layout):
    dataset = CamVid(root=str(fill(tmp_path, layout)))
    assert isinstance(dataset, SegmentationDataset)
    assert len(dataset.classes) == 11
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 1, "valid": 2, "test": 3}
    image, mask = dataset.splits["test"][2]
    np.testing.assert_array_equal(image, colours(3, 4))
    np.testing.assert_array_equal(mask.ravel(), [*range(11), 255])


def test_the_test_split_may_be_absent_but_not_the_others(tmp_path):
    assert list(CamVid(root=str(fill(tmp_path / "a", TUTORIAL, ["train", "val"]))).splits) == ["train", "valid"]
    with pytest.raises(DataError, match="has no folder val"):
        CamVid(root=str(fill(tmp_path / "b", TUTORIAL, ["train", "test"])))
    with pytest.raises(DataError, match=r"lacks train/ and trainannot/.*\(it holds val, valannot\)"):
        CamVid(root=str(fill(tmp_path / "c", TUTORIAL, ["val"])))


def test_for_the_root_of_the_repository_the_folder_in_it_is_suggested(tmp_path):
    inner = fill(tmp_path / "CamVid", TUTORIAL)
    for wrong in (tmp_path, inner / "train"):
        with pytest.raises(DataError, match=rf"did you mean root={inner}\?"):
            CamVid(root=str(wrong))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"camvid needs root=FOLDER, the folder with train/ and trainannot/"):
        CamVid()
    (fill(tmp_path, TUTORIAL) / "valannot" / "val1.png").unlink()
    with pytest.raises(DataError, match=r"one image has no mask in .*valannot, first .*val1\.png"):
        CamVid(root=str(tmp_path))


def test_a_label_beyond_void_is_out_of_range(tmp_path):
    save(fill(tmp_path, TUTORIAL) / "valannot" / "val1.png", np.full((3, 4), 12, np.uint8))
    message = r"val1\.png has the values 12: 11 classes allow 0 to 10, .* and 11 for pixels to ignore"
    with pytest.raises(DataError, match=message):
        CamVid(root=str(tmp_path)).splits["valid"][1]


@realdata("camvid")
def test_the_real_masks_hold_eleven_classes_and_ignored_pixels():
    dataset = CamVid(root=str(DATA / "camvid"))
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 367, "valid": 101}
    counts = np.zeros(256, np.int64)
    for image, mask in dataset.splits["valid"]:
        assert image.shape == (360, 480, 3)
        counts += np.bincount(mask.ravel(), minlength=256)
    assert set(np.flatnonzero(counts)) == {*range(11), 255}
    share = dict(zip(dataset.classes, counts / counts.sum(), strict=False))
    assert share["road"] > 0.2 > share["car"] > share["pole"]
