import numpy as np
import pytest

from segreg.builtins.datasets.ph2 import PH2
from segreg.contracts import SegmentationDataset
from segreg.errors import DataError
from tests.builtins.datasets.files import DATA, blob, colours, realdata, save


def case(inner, number):
    name = f"IMD{number:03d}"
    save(inner / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp", colours(seed=number))
    save(inner / name / f"{name}_lesion" / f"{name}_lesion.bmp", blob().astype(bool))
    save(inner / name / f"{name}_roi" / f"{name}_R1_Label3.bmp", blob().astype(bool))


@pytest.fixture
def root(tmp_path):
    for number in range(2, 14):
        case(tmp_path / "PH2Dataset" / "PH2 Dataset images", number)
    (tmp_path / "PH2Dataset" / "PH2_dataset.txt").write_text("metadata")
    return tmp_path / "PH2Dataset"


def names(dataset):
    return {split: part.names for split, part in dataset.splits.items()}


def test_the_distributed_layout_is_read(root):
    dataset = PH2(root=str(root))
    assert isinstance(dataset, SegmentationDataset)
    assert list(dataset.classes) == ["lesion"]
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 6, "valid": 3, "test": 3}
    for part in dataset.splits.values():
        for name, (image, mask) in zip(part.names, part, strict=True):
            np.testing.assert_array_equal(image, colours(seed=int(name.removeprefix("IMD"))))
            np.testing.assert_array_equal(mask, blob())


def test_the_inner_folder_gives_the_same_splits(root):
    assert names(PH2(root=str(root / "PH2 Dataset images"))) == names(PH2(root=str(root)))


def test_the_seed_decides_the_splits(root):
    assert names(PH2(root=str(root), split_seed=1)) == names(PH2(root=str(root), split_seed=1))
    assert names(PH2(root=str(root), split_seed=1)) != names(PH2(root=str(root)))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("IMD005_lesion/IMD005_lesion.bmp", r"one image has no mask in .*, first .*IMD005\.bmp"),
        ("IMD005_Dermoscopic_Image/IMD005.bmp", r"one mask has no image in .*, first .*IMD005_lesion\.bmp"),
    ],
)
def test_an_incomplete_case_is_an_error(root, lost, message):
    (root / "PH2 Dataset images" / "IMD005" / lost).unlink()
    with pytest.raises(DataError, match=message):
        PH2(root=str(root))


def test_a_missing_root_is_named():
    with pytest.raises(DataError, match=r"ph2 needs root=FOLDER, the folder PH2Dataset.*docs/guides/data\.md"):
        PH2()


def test_for_a_root_that_does_not_exist_a_similar_one_is_suggested(root):
    with pytest.raises(DataError, match=r"PH2_Dataset of ph2 does not exist \(did you mean 'PH2Dataset'\?\)"):
        PH2(root=str(root.parent / "PH2_Dataset"))
    with pytest.raises(DataError, match=r"nowhere of ph2 does not exist: give the folder PH2Dataset"):
        PH2(root=str(root.parent / "no" / "nowhere"))


def test_a_root_that_is_a_file_is_refused(root):
    with pytest.raises(DataError, match=r"PH2_dataset\.txt of ph2 is a file: give the folder"):
        PH2(root=str(root / "PH2_dataset.txt"))


def test_for_a_root_one_level_off_the_right_one_is_suggested(root):
    with pytest.raises(DataError, match=rf"lacks folders named IMD001.*did you mean root={root}\?"):
        PH2(root=str(root.parent))
    inner = root / "PH2 Dataset images"
    with pytest.raises(DataError, match=rf"did you mean root={inner}\?"):
        PH2(root=str(inner / "IMD005"))


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"lacks folders named IMD001, IMD002, \.\.\. \(it holds nothing\)"):
        PH2(root=str(tmp_path))


@realdata("PH2Dataset")
def test_all_real_pairs_decode():
    dataset = PH2(root=str(DATA / "PH2Dataset"))
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 100, "valid": 50, "test": 50}
    shares, seen = [], set()
    for part in dataset.splits.values():
        seen |= set(part.names)
        for image, mask in part:
            assert image.shape == (*mask.shape, 3)
            assert set(np.unique(mask)) == {0, 1}
            shares.append(mask.mean())
    assert len(seen) == 200
    assert "IMD002" in seen  # its mask is RGB, all others have one bit
    assert np.mean(shares) == pytest.approx(0.32, abs=0.01)
