"""The boundary metrics against MONAI and a search over all pairs of pixels, and their invariances."""

import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from torch import Tensor

from segreg.builtins.metrics.boundary import BoundaryMetric
from segreg.builtins.metrics.hausdorff95 import Hausdorff95
from segreg.builtins.metrics.surface_dice import SurfaceDice
from segreg.contracts import IGNORE_INDEX

METRICS = [Hausdorff95, SurfaceDice]
each_metric = pytest.mark.parametrize("metric_class", METRICS)


def shapes(classes: int, seed: int, height: int = 17, width: int = 23) -> tuple[Tensor, Tensor]:
    """Two masks of overlapping boxes and specks, in which classes may be missing."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((2, height, width), dtype=np.int64)
    for mask in masks:
        for _ in range(rng.integers(0, 5)):
            y, x = rng.integers(0, height), rng.integers(0, width)
            mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = rng.integers(0, max(classes, 2))
        if rng.random() < 0.3:
            specks = rng.random(mask.shape) < 0.1
            mask[specks] = rng.integers(0, max(classes, 2))
    return torch.from_numpy(masks[0]), torch.from_numpy(masks[1])


two_masks = st.builds(shapes, classes=st.sampled_from([1, 2, 4]), seed=st.integers(0, 2**32 - 1))


def logits_of(prediction: Tensor, classes: int) -> Tensor:
    if classes == 1:
        return (prediction[None, None] - 0.5).float()
    return F.one_hot(prediction, classes).movedim(-1, 0)[None].float()


def scored(metric: BoundaryMetric, prediction: Tensor, ground_truth: Tensor) -> BoundaryMetric:
    metric.update(logits_of(prediction, metric.num_classes), ground_truth[None])
    return metric


def of_classes(metric: BoundaryMetric, prediction: Tensor, ground_truth: Tensor) -> list[float]:
    return scored(metric, prediction, ground_truth).per_class().tolist()


def boundary_by_hand(region: np.ndarray) -> list[tuple[int, int]]:
    height, width = region.shape
    found = []
    for y, x in zip(*np.nonzero(region), strict=True):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(not (0 <= v < height and 0 <= u < width) or not region[v, u] for v, u in around):
            found.append((y, x))
    return found


def nearest_by_hand(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> np.ndarray:
    return np.array([min(math.dist(point, other) for other in others) for point in points])


def percentile_by_hand(values: np.ndarray) -> float:
    values = np.sort(values)
    rank = 0.95 * (len(values) - 1)
    low = math.floor(rank)
    return values[low] + (rank - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def expected_per_class(
    classes: int, prediction: np.ndarray, ground_truth: np.ndarray, tolerance: float
) -> tuple[list[float], list[float]]:
    valid = ground_truth != IGNORE_INDEX
    hausdorff, surface = [], []
    for label in [1] if classes == 1 else range(classes):
        predicted, true = ((mask == label) & valid for mask in (prediction, ground_truth))
        if not predicted.any() and not true.any():
            hausdorff.append(0.0 if classes == 1 and valid.any() else math.nan)
            surface.append(1.0 if classes == 1 and valid.any() else math.nan)
        elif not predicted.any() or not true.any():
            hausdorff.append(math.hypot(*ground_truth.shape))
            surface.append(0.0)
        else:
            p, t = boundary_by_hand(predicted), boundary_by_hand(true)
            there, back = nearest_by_hand(p, t), nearest_by_hand(t, p)
            hausdorff.append(max(percentile_by_hand(there), percentile_by_hand(back)))
            surface.append(((there <= tolerance).sum() + (back <= tolerance).sum()) / (len(p) + len(t)))
    return hausdorff, surface


@given(
    classes=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 2**32 - 1),
    tolerance=st.sampled_from([0.0, 1.0, 2.0, 5.0]),
    ignored=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_value_matches_a_search_over_all_pairs(classes: int, seed: int, tolerance: float, ignored: float) -> None:
    prediction, ground_truth = shapes(classes, seed)
    ground_truth[torch.rand(ground_truth.shape, generator=torch.Generator().manual_seed(seed)) < ignored] = IGNORE_INDEX
    hausdorff, surface = expected_per_class(classes, prediction.numpy(), ground_truth.numpy(), tolerance)
    np.testing.assert_allclose(
        of_classes(Hausdorff95(num_classes=classes), prediction, ground_truth), hausdorff, atol=1e-7
    )
    metric = SurfaceDice(num_classes=classes, tolerance=tolerance)
    np.testing.assert_allclose(of_classes(metric, prediction, ground_truth), surface, atol=1e-7)


@pytest.mark.parametrize("tolerance", [1.0, 2.0])
@pytest.mark.parametrize("seed", range(12))
def test_value_matches_monai(seed: int, tolerance: float) -> None:
    classes = 4
    prediction, ground_truth = shapes(classes, seed, 40, 31)
    one_hot = [F.one_hot(mask, classes).movedim(-1, 0)[None] for mask in (prediction, ground_truth)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are empty
        hausdorff = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95)[0].numpy()
        surface = compute_surface_dice(*one_hot, [tolerance] * classes, include_background=True)[0].numpy()
    # For a class missing from one of the two masks, MONAI gives nan or infinity.
    hausdorff[~np.isfinite(hausdorff) & ~np.isnan(surface)] = math.hypot(40, 31)
    hausdorff[np.isnan(surface)] = math.nan
    ours = of_classes(Hausdorff95(num_classes=classes), prediction, ground_truth)
    np.testing.assert_allclose(ours, hausdorff, rtol=1e-5)
    ours = of_classes(SurfaceDice(num_classes=classes, tolerance=tolerance), prediction, ground_truth)
    np.testing.assert_allclose(ours, surface, rtol=1e-6)


def square(y: int, x: int, side: int = 10, size: int = 64) -> Tensor:
    mask = torch.zeros(size, size, dtype=torch.int64)
    mask[y : y + side, x : x + side] = 1
    return mask


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 20])
def test_a_translated_square_is_off_by_the_translation(shift: int) -> None:
    prediction, ground_truth = square(20, 20), square(20, 20 + shift)
    # Of 36 pixels of a boundary, the 10 of one side are the farthest: more than a twentieth.
    assert of_classes(Hausdorff95(num_classes=1), prediction, ground_truth) == [shift]
    # With a translation by 3, the outer side is too far from the other square, and so is the middle of the inner one.
    share = {0: 1, 1: 1, 2: 1, 3: 22 / 36}.get(shift, 0)
    assert scored(SurfaceDice(num_classes=1), prediction, ground_truth).compute() == pytest.approx(share, abs=1e-7)


def test_a_stray_pixel_does_not_determine_the_value() -> None:
    prediction, ground_truth = square(20, 20), square(20, 20)
    prediction[60, 60] = 1
    assert of_classes(Hausdorff95(num_classes=1), prediction, ground_truth) == [0]
    assert scored(SurfaceDice(num_classes=1), prediction, ground_truth).compute() == pytest.approx(72 / 73)


@each_metric
@given(masks=two_masks)
def test_prediction_and_ground_truth_can_be_swapped(metric_class: type[BoundaryMetric], masks) -> None:
    classes = max(2, int(torch.stack(masks).max()) + 1)
    there, back = (of_classes(metric_class(num_classes=classes), *pair) for pair in (masks, masks[::-1]))
    assert there == pytest.approx(back, nan_ok=True)


@each_metric
@given(masks=two_masks, dy=st.integers(0, 9), dx=st.integers(0, 9))
def test_the_position_in_the_image_does_not_matter(metric_class: type[BoundaryMetric], masks, dy: int, dx: int) -> None:
    there, moved = (
        of_classes(
            metric_class(num_classes=1), *(F.pad(mask.clamp(max=1), (1 + x, 10 - x, 1 + y, 10 - y)) for mask in masks)
        )
        for y, x in ((0, 0), (dy, dx))
    )
    assert there == moved


@each_metric
@given(masks=two_masks)
def test_rotating_and_flipping_do_not_matter(metric_class: type[BoundaryMetric], masks) -> None:
    plain, rotated = (
        of_classes(metric_class(num_classes=1), *(change(mask.clamp(max=1)) for mask in masks))
        for change in (lambda mask: mask, lambda mask: mask.rot90().flip(1))
    )
    assert rotated == pytest.approx(plain)


def test_a_class_in_only_one_of_the_two_has_the_worst_value() -> None:
    empty, full = torch.zeros(30, 40, dtype=torch.int64), torch.ones(30, 40, dtype=torch.int64)
    for prediction, ground_truth in ((empty, full), (full, empty)):
        assert of_classes(Hausdorff95(num_classes=1), prediction, ground_truth) == [50]
        assert of_classes(SurfaceDice(num_classes=1), prediction, ground_truth) == [0]
    assert of_classes(Hausdorff95(num_classes=3), empty, full) == pytest.approx([50, 50, math.nan], nan_ok=True)
    assert of_classes(SurfaceDice(num_classes=3), empty, full) == pytest.approx([0, 0, math.nan], nan_ok=True)


def test_an_empty_prediction_of_an_empty_mask_is_right() -> None:
    empty = torch.zeros(30, 40, dtype=torch.int64)
    assert of_classes(Hausdorff95(num_classes=1), empty, empty) == [0]
    assert of_classes(SurfaceDice(num_classes=1), empty, empty) == [1]


@each_metric
def test_ignored_pixels_do_not_count(metric_class: type[BoundaryMetric]) -> None:
    ground_truth = square(20, 20)
    ground_truth[:, 40:] = IGNORE_INDEX
    prediction = square(20, 20)
    expected = of_classes(metric_class(num_classes=1), prediction, ground_truth)
    prediction[50:, 45:] = 1
    assert of_classes(metric_class(num_classes=1), prediction, ground_truth) == expected == [metric_class.best]
    nothing = scored(metric_class(num_classes=1), prediction, torch.full_like(ground_truth, IGNORE_INDEX))
    assert math.isnan(nothing.compute())


@each_metric
@settings(max_examples=20)
@given(seeds=st.lists(st.integers(0, 1000), min_size=1, max_size=5), data=st.data())
def test_states_add_up_exactly_in_any_order(metric_class: type[BoundaryMetric], seeds, data: st.DataObject) -> None:
    whole, shuffled, added = (metric_class(num_classes=3) for _ in range(3))
    for seed in seeds:
        scored(whole, *shapes(3, seed))
    for seed in data.draw(st.permutations(seeds)):
        scored(shuffled, *shapes(3, seed))
        for name, buffer in scored(metric_class(num_classes=3), *shapes(3, seed)).named_buffers():
            added.get_buffer(name).add_(buffer)
    for name, buffer in whole.named_buffers():
        assert buffer.dtype == torch.int64
        assert torch.equal(buffer, shuffled.get_buffer(name))
        assert torch.equal(buffer, added.get_buffer(name))


@pytest.mark.parametrize("tolerance", [-1, math.inf, math.nan])
def test_an_invalid_tolerance_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match=r"tolerance is .*: expected a finite number of pixels, 0 or more") as raised:
        SurfaceDice(num_classes=1, tolerance=tolerance)
    assert "\n" not in str(raised.value)
