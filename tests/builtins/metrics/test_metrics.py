"""All metrics against an explicit count in loops, and the guarantees about their state."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segreg.builtins.metrics.accuracy import Accuracy
from segreg.builtins.metrics.averaging import Average, ConfusionMetric
from segreg.builtins.metrics.dice import Dice
from segreg.builtins.metrics.iou import IoU
from segreg.builtins.metrics.precision import Precision
from segreg.builtins.metrics.recall import Recall
from segreg.contracts import IGNORE_INDEX, SegmentationMetric

OVERLAP = {
    IoU: lambda tp, fp, fn: (tp, tp + fp + fn),
    Dice: lambda tp, fp, fn: (2 * tp, 2 * tp + fp + fn),
    Precision: lambda tp, fp, fn: (tp, tp + fp),
    Recall: lambda tp, fp, fn: (tp, tp + fn),
}
METRICS = [*OVERLAP, Accuracy]
AVERAGES = ["image", "dataset"]

each_metric = pytest.mark.parametrize("metric_class", METRICS)
each_average = pytest.mark.parametrize("average", AVERAGES)
each_number_of_classes = pytest.mark.parametrize("num_classes", [1, 3])


def random_images(num_classes: int, images: int, height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Logits with ties, and targets in which classes are missing and pixels, at times all of an image, are ignored."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, size=(images, num_classes, height, width)) / 2.0
    logits += rng.choice([0.0, 4.0, -4.0], size=(images, num_classes, 1, 1))
    target = rng.integers(0, max(num_classes, 2), size=(images, height, width))
    target[rng.random(images) < 0.3] = 0
    ignored_share = rng.choice([0.0, 0.3, 1.0], size=images, p=[0.4, 0.4, 0.2])
    target[rng.random(target.shape) < ignored_share[:, None, None]] = IGNORE_INDEX
    return torch.from_numpy(logits).float(), torch.from_numpy(target)


batches = st.builds(
    random_images,
    num_classes=st.sampled_from([1, 2, 3, 5]),
    images=st.integers(1, 5),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)


def predicted_class(logits: np.ndarray) -> int:
    return int(logits[0] > 0) if len(logits) == 1 else int(np.argmax(logits))


def overlap_value(metric_class: type[ConfusionMetric], pairs: list[tuple[int, int]], num_classes: int, label: int):
    """The value of one class, from its pairs of prediction and ground truth; None where it is undefined."""
    tp = sum(p == label and t == label for p, t in pairs)
    fp = sum(p == label and t != label for p, t in pairs)
    fn = sum(p != label and t == label for p, t in pairs)
    if not pairs:
        return None
    if tp + fp + fn == 0:
        return Fraction(1) if num_classes == 1 else None
    numerator, denominator = OVERLAP[metric_class](tp, fp, fn)
    return Fraction(numerator, denominator) if denominator else Fraction(0)


def expected_per_class(metric_class: type[ConfusionMetric], average: str, logits: Tensor, target: Tensor):
    num_classes = logits.shape[1]
    images = []
    for image_logits, image_target in zip(logits.numpy(), target.numpy(), strict=True):
        pairs = []
        for y in range(image_target.shape[0]):
            for x in range(image_target.shape[1]):
                if image_target[y, x] != IGNORE_INDEX:
                    pairs.append((predicted_class(image_logits[:, y, x]), int(image_target[y, x])))
        images.append(pairs)
    if average == "dataset":
        images = [[pair for pairs in images for pair in pairs]]

    if metric_class is Accuracy:
        columns = [[Fraction(sum(p == t for p, t in pairs), len(pairs)) for pairs in images if pairs]]
    else:
        labels = [1] if num_classes == 1 else range(num_classes)
        columns = [
            [v for pairs in images if (v := overlap_value(metric_class, pairs, num_classes, label)) is not None]
            for label in labels
        ]
    return [float(sum(column) / len(column)) if column else math.nan for column in columns]


def scored(metric: ConfusionMetric, logits: Tensor, target: Tensor) -> ConfusionMetric:
    metric.update(logits, target)
    return metric


def state(metric: ConfusionMetric) -> dict[str, Tensor]:
    return dict(metric.named_buffers())


def assert_equal_states(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == torch.int64
        assert torch.equal(a[name], b[name]), name


@each_average
@each_metric
@settings(max_examples=60, deadline=None)
@given(batch=batches)
def test_value_matches_a_count_in_loops(metric_class: type[ConfusionMetric], average: Average, batch) -> None:
    logits, target = batch
    metric = scored(metric_class(num_classes=logits.shape[1], average=average), logits, target)

    expected = expected_per_class(metric_class, average, logits, target)
    # The score of an image is rounded down to a multiple of 2**-30.
    np.testing.assert_allclose(metric.per_class().numpy(), expected, rtol=0, atol=2**-30)
    assert metric.per_class().dtype == torch.float64
    defined = [v for v in expected if not math.isnan(v)]
    assert metric.compute() == pytest.approx(np.mean(defined) if defined else math.nan, abs=2**-30, nan_ok=True)


@each_average
@each_metric
@settings(max_examples=25, deadline=None)
@given(batch=batches, data=st.data())
def test_whole_split_shuffled_and_merged_states_are_the_same(
    metric_class: type[ConfusionMetric], average: Average, batch, data: st.DataObject
) -> None:
    logits, target = batch
    order = data.draw(st.permutations(range(len(target))))
    cut = data.draw(st.integers(0, len(target)))

    def fresh() -> ConfusionMetric:
        return metric_class(num_classes=logits.shape[1], average=average)

    whole = scored(fresh(), logits, target)
    split = fresh()
    for i in order:
        split.update(logits[i : i + 1], target[i : i + 1])
    first, second = scored(fresh(), logits[:cut], target[:cut]), scored(fresh(), logits[cut:], target[cut:])
    merged = {name: state(first)[name] + state(second)[name] for name in state(first)}

    assert_equal_states(state(whole), state(split))
    assert_equal_states(state(whole), merged)


def mask(*rows: str) -> Tensor:
    """A target drawn in characters: a digit is a class, and `x` is ignored."""
    return torch.tensor([[[IGNORE_INDEX if c == "x" else int(c) for c in row] for row in rows]])


def logits_of(prediction: Tensor, num_classes: int) -> Tensor:
    if num_classes == 1:
        return (prediction[:, None] - 0.5).float()
    return torch.nn.functional.one_hot(prediction, num_classes).movedim(-1, 1).float()


@each_average
@pytest.mark.parametrize(
    ("prediction", "ground_truth", "expected"),
    [
        # Both empty: a healthy image called healthy is right.
        ("0000", "0000", {IoU: 1, Dice: 1, Precision: 1, Recall: 1, Accuracy: 1}),
        ("0000", "00xx", {IoU: 1, Dice: 1, Precision: 1, Recall: 1, Accuracy: 1}),
        # An empty prediction of a mask that is not empty, and the reverse.
        ("0000", "0011", {IoU: 0, Dice: 0, Precision: 0, Recall: 0, Accuracy: 0.5}),
        ("0001", "0000", {IoU: 0, Dice: 0, Precision: 0, Recall: 0, Accuracy: 0.75}),
        # All full.
        ("1111", "1111", {IoU: 1, Dice: 1, Precision: 1, Recall: 1, Accuracy: 1}),
        # An ignored pixel does not count, whatever was predicted there.
        ("0111", "011x", {IoU: 1, Dice: 1, Precision: 1, Recall: 1, Accuracy: 1}),
        ("0111", "001x", {IoU: 1 / 2, Dice: 2 / 3, Precision: 1 / 2, Recall: 1, Accuracy: 2 / 3}),
        ("0111", "xxxx", {IoU: math.nan, Dice: math.nan, Precision: math.nan, Recall: math.nan, Accuracy: math.nan}),
    ],
)
def test_binary_image(prediction: str, ground_truth: str, expected, average: Average) -> None:
    logits, target = logits_of(mask(prediction), 1), mask(ground_truth)
    values = {m: scored(m(num_classes=1, average=average), logits, target).compute() for m in METRICS}
    assert values == pytest.approx(expected, abs=1e-9, nan_ok=True)


@each_average
def test_class_absent_from_prediction_and_ground_truth_is_left_out(average: Average) -> None:
    logits, target = logits_of(mask("0011"), 3), mask("0001")
    metric = scored(IoU(num_classes=3, average=average), logits, target)
    assert metric.per_class().tolist() == pytest.approx([2 / 3, 1 / 2, math.nan], abs=1e-9, nan_ok=True)
    assert metric.compute() == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-9)


def test_image_is_counted_only_for_the_classes_that_it_has() -> None:
    metric = IoU(num_classes=3)
    metric.update(logits_of(mask("0011"), 3), mask("0001"))
    metric.update(logits_of(mask("0022"), 3), mask("0022"))
    assert metric.per_class().tolist() == pytest.approx([(2 / 3 + 1) / 2, 1 / 2, 1], abs=1e-9)


def test_averages_differ_as_declared() -> None:
    large, small = ("1111111111", "1111111111"), ("1000000000", "0100000000")
    by_image, pooled = IoU(num_classes=1, average="image"), IoU(num_classes=1, average="dataset")
    for prediction, ground_truth in (large, small):
        by_image.update(logits_of(mask(prediction), 1), mask(ground_truth))
        pooled.update(logits_of(mask(prediction), 1), mask(ground_truth))
    assert by_image.compute() == pytest.approx(1 / 2)
    assert pooled.compute() == pytest.approx(10 / 12)
    assert IoU(num_classes=1).average == "image"


def test_global_and_class_average_accuracy_differ() -> None:
    logits, target = logits_of(mask("00000001"), 2), mask("00000011")
    assert scored(Accuracy(num_classes=2, average="dataset"), logits, target).compute() == 7 / 8
    assert scored(Recall(num_classes=2, average="dataset"), logits, target).compute() == (1 + 1 / 2) / 2


@each_number_of_classes
@each_average
@each_metric
def test_reset_clears_the_state_and_no_images_give_nan(
    metric_class: type[ConfusionMetric], average: Average, num_classes: int
) -> None:
    metric = metric_class(num_classes=num_classes, average=average)
    empty = {name: buffer.clone() for name, buffer in state(metric).items()}
    assert math.isnan(metric.compute())

    metric.update(*random_images(num_classes, 4, 5, 5, seed=1))
    assert not math.isnan(metric.compute())
    metric.reset()
    assert_equal_states(state(metric), empty)
    assert math.isnan(metric.compute())


@each_number_of_classes
@each_average
@each_metric
def test_update_never_reads_a_value_on_the_host(
    metric_class: type[ConfusionMetric], average: Average, num_classes: int
) -> None:
    # A tensor on "meta" has a shape and no values, so whatever would make the host wait for a value fails on it.
    logits = torch.empty(2, num_classes, 5, 7, device="meta")
    target = torch.empty(2, 5, 7, dtype=torch.int64, device="meta")
    with pytest.raises(RuntimeError):
        target.sum().item()
    with pytest.raises(RuntimeError):
        target[target > 0]
    with pytest.raises(RuntimeError):
        torch.bincount(target.flatten())

    metric = metric_class(num_classes=num_classes, average=average).to("meta")
    before = {name: (buffer.shape, buffer.dtype) for name, buffer in state(metric).items()}
    metric.update(logits, target)
    assert {name: (buffer.shape, buffer.dtype) for name, buffer in state(metric).items()} == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each_number_of_classes
@each_average
@each_metric
def test_gpu_gives_the_same_state_without_a_sync(
    metric_class: type[ConfusionMetric], average: Average, num_classes: int
) -> None:
    logits, target = random_images(num_classes, 4, 33, 47, seed=3)
    on_cpu = scored(metric_class(num_classes=num_classes, average=average), logits, target)
    on_gpu = metric_class(num_classes=num_classes, average=average).cuda()
    logits, target = logits.cuda(), target.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu.update(logits, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_equal_states(state(on_gpu.cpu()), state(on_cpu))


@each_metric
def test_state_is_the_buffers_and_stays_out_of_checkpoints(metric_class: type[ConfusionMetric]) -> None:
    for average in AVERAGES:
        metric = metric_class(num_classes=3, average=average).half()
        assert isinstance(metric, SegmentationMetric)
        assert {buffer.dtype for buffer in metric.buffers()} == {torch.int64}
        assert metric.state_dict() == {}
        assert list(metric.parameters()) == []


@each_number_of_classes
def test_memory_layout_and_precision_of_the_logits_do_not_matter(num_classes: int) -> None:
    logits, target = random_images(num_classes, 3, 9, 11, seed=5)
    plain = scored(IoU(num_classes=num_classes, average="dataset"), logits.requires_grad_(), target)
    other = logits.detach().to(torch.bfloat16, memory_format=torch.channels_last)
    assert_equal_states(state(plain), state(scored(IoU(num_classes=num_classes, average="dataset"), other, target)))


def test_update_leaves_its_inputs_unchanged() -> None:
    logits, target = random_images(3, 3, 4, 4, seed=6)
    copies = logits.clone(), target.clone()
    IoU(num_classes=3).update(logits, target)
    assert torch.equal(logits, copies[0])
    assert torch.equal(target, copies[1])


@each_metric
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0: expected 1"),
        ({"num_classes": 256}, "num_classes is 256: expected 1"),
        ({"num_classes": 1, "average": "pixel"}, "average is 'pixel': expected 'image' or 'dataset'"),
    ],
)
def test_a_bad_option_is_refused(metric_class: type[ConfusionMetric], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        metric_class(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("logits_shape", "target_shape", "message"),
    [
        ((2, 3, 4, 4), (2, 4, 5), "disagree"),
        ((2, 1, 4, 4), (2, 4, 4), "1 channels: expected 3, the metric's num_classes"),
        ((2, 4, 4, 4), (2, 4, 4), "4 channels: expected 3, the metric's num_classes"),
    ],
)
def test_shapes_that_do_not_match_are_refused(
    logits_shape: tuple[int, ...], target_shape: tuple[int, ...], message: str
) -> None:
    metric = IoU(num_classes=3)
    with pytest.raises(ValueError, match=message) as raised:
        metric.update(torch.zeros(logits_shape), torch.zeros(target_shape, dtype=torch.int64))
    assert "\n" not in str(raised.value)
    assert math.isnan(metric.compute())


def test_a_target_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="the target has the value 3"):
        IoU(num_classes=3).update(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 3))
