import pytest

from segreg.builtins.datasets.isic import ISIC
from segreg.contracts import SegmentationDataset
from segreg.errors import DataError
from tests.builtins.datasets.files import colours, pair, save

OFFICIAL = {
    2016: ("ISBI2016_ISIC_Part1_{}_Data", "ISBI2016_ISIC_Part1_{}_GroundTruth", "{}_Segmentation", "Test"),
    2017: ("ISIC-2017_{}_Data", "ISIC-2017_{}_Part1_GroundTruth", "{}_segmentation", "Test_v2"),
    2018: ("ISIC2018_Task1-2_{}_Input", "ISIC2018_Task1_{}_GroundTruth", "{}_segmentation", "Test"),
}


def fill(root, year, phases=("Training", "Validation", "Test"), count=4):
    images, masks, mask_name, test = OFFICIAL[year]
    for phase in phases:
        folder = test if phase == "Test" else phase
        for number in range(count):
            name = f"ISIC_{phase}{number}"
            pair(root / images.format(folder), root / masks.format(folder), name, mask_name=mask_name.format(name))
    return root


def lengths(dataset):
    return {split: len(part) for split, part in dataset.splits.items()}


@pytest.mark.parametrize("year", OFFICIAL)
def test_the_challenges_own_splits(tmp_path, year):
    dataset = ISIC(root=str(fill(tmp_path, year)))
    assert isinstance(dataset, SegmentationDataset)
    assert list(dataset.classes) == ["lesion"]
    assert lengths(dataset) == {"train": 4, "valid": 4, "test": 4}
    assert dataset.splits["valid"].names == tuple(f"ISIC_Validation{number}" for number in range(4))
    image, mask = dataset.splits["test"][3]
    assert image.shape == (*mask.shape, 3)


def test_files_of_other_tasks_are_ignored(tmp_path):
    root = fill(tmp_path, 2017)
    for name in ("ISIC_Training0_superpixels.png", "ISIC_Training1_superpixels.png"):
        save(root / "ISIC-2017_Training_Data" / name, colours())
    (root / "ISIC-2017_Training_Data" / "ISIC-2017_Training_Data_metadata.csv").write_text("image_id,age\n")
    (root / "ISIC-2017_Training_Part2_GroundTruth").mkdir()
    (root / "ISIC-2017_Training_Part3_GroundTruth.csv").write_text("image_id,melanoma\n")
    assert lengths(ISIC(root=str(root))) == {"train": 4, "valid": 4, "test": 4}
    attributes = fill(tmp_path / "2018", 2018) / "ISIC2018_Task2_Training_GroundTruth_v3"
    save(attributes / "ISIC_Training0_attribute_globules.png", colours())
    assert lengths(ISIC(root=str(attributes.parent)))["train"] == 4


def test_without_a_validation_set_a_quarter_of_the_training_images_is_held_out(tmp_path):
    root = str(fill(tmp_path, 2016, phases=("Training", "Test"), count=8))
    dataset = ISIC(root=root)
    assert lengths(dataset) == {"train": 6, "valid": 2, "test": 8}
    parts = [set(ISIC(root=root, split_seed=seed).splits["valid"].names) for seed in range(5)]
    assert parts[0] == set(dataset.splits["valid"].names)
    assert any(part != parts[0] for part in parts)


@pytest.mark.parametrize("suffix", ["_segmentation", "_Segmentation"])
def test_images_and_masks_may_be_in_one_folder(tmp_path, suffix):
    for number in range(8):
        pair(tmp_path, tmp_path, f"ISIC_{number}", mask_name=f"ISIC_{number}{suffix}")
    save(tmp_path / "ISIC_0_superpixels.png", colours())
    dataset = ISIC(root=str(tmp_path))
    assert lengths(dataset) == {"train": 6, "valid": 2}
    assert sorted(dataset.splits["train"].names + dataset.splits["valid"].names) == [f"ISIC_{n}" for n in range(8)]


def test_half_of_a_phase_is_an_error(tmp_path):
    root = fill(tmp_path, 2018, phases=("Training",))
    save(root / "ISIC2018_Task1-2_Test_Input" / "ISIC_1.jpg", colours())
    with pytest.raises(DataError, match=r"Test_Input has no folder of ground truth beside it"):
        ISIC(root=str(root))


def test_two_years_in_one_folder_are_an_error(tmp_path):
    fill(tmp_path, 2017)
    with pytest.raises(DataError, match="different challenges: put each year into its own folder"):
        ISIC(root=str(fill(tmp_path, 2018)))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="isic needs root=FOLDER, the folder with ISIC folders"):
        ISIC()
    root = fill(tmp_path / "isic", 2017)
    for wrong in (tmp_path, root / "ISIC-2017_Training_Data"):
        with pytest.raises(DataError, match=rf"did you mean root={root}\?"):
            ISIC(root=str(wrong))
    (root / "ISIC-2017_Training_Part1_GroundTruth" / "ISIC_Training2_segmentation.png").unlink()
    with pytest.raises(DataError, match=r"one image has no mask in .*Part1_GroundTruth, first .*ISIC_Training2\.jpg"):
        ISIC(root=str(root))


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"lacks ISIC folders .*\(it holds nothing\)"):
        ISIC(root=str(tmp_path))


def test_a_test_phase_alone_has_nothing_to_train_on(tmp_path):
    with pytest.raises(DataError, match=r"lacks ISIC folders .*\(it holds ISIC2018_Task1-2_Test_Input"):
        ISIC(root=str(fill(tmp_path, 2018, phases=("Test",))))
