"""The oracle here works pixel by pixel, in NumPy and float64."""

import ast
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import segreg
from segreg.contracts import IGNORE_INDEX, check_logits_and_target
from segreg.runs.model_file import about_of
from segreg.task import task_of

PACKAGE = Path(segreg.__file__).parent
PLUGINS = Path(__file__).parents[1] / "plugins"

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def drawn(seed: int, *, whole: bool = False) -> Floats:
    """Logits [B, K, H, W] of any shape; optionally whole numbers, many of them equal."""
    rng = np.random.default_rng(seed)
    shape = (rng.integers(1, 4), rng.integers(1, 6), rng.integers(1, 5), rng.integers(1, 5))
    return rng.integers(-2, 3, shape).astype(np.float64) if whole else 3 * rng.standard_normal(shape)


def probabilities_of(logits: Floats) -> Floats:
    found = np.empty_like(logits)
    for b, y, x in np.ndindex(len(logits), *logits.shape[2:]):
        pixel = [float(each) for each in logits[b, :, y, x]]
        if len(pixel) == 1:
            found[b, 0, y, x] = 1 / (1 + math.exp(-pixel[0]))
        else:
            total = sum(math.exp(each) for each in pixel)
            found[b, :, y, x] = [math.exp(each) / total for each in pixel]
    return found


def classes_of(values: Floats, threshold: float) -> Indices:
    found = np.empty((len(values), *values.shape[2:]), np.int64)
    for b, y, x in np.ndindex(*found.shape):
        pixel = values[b, :, y, x].tolist()
        found[b, y, x] = int(pixel[0] > threshold) if len(pixel) == 1 else pixel.index(max(pixel))
    return found


def drawn_target(seed: int, num_classes: int) -> Indices:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2 if num_classes == 1 else num_classes, (2, 4, 3))
    target[rng.random(target.shape) < 0.3] = 255
    return target


seeds = st.integers(0, 10**6)
counts = st.sampled_from([1, 2, 3, 11, 255])


@given(seed=seeds)
def test_probabilities_are_the_sigmoid_of_one_logit_and_the_softmax_of_several(seed: int) -> None:
    logits = drawn(seed)
    found = task_of(logits.shape[1]).activate(torch.from_numpy(logits))
    np.testing.assert_allclose(found.numpy(), probabilities_of(logits), rtol=1e-12)


@given(seed=seeds)
def test_the_softmax_over_the_values_of_a_target_has_the_probabilities_of_the_classes(seed: int) -> None:
    logits = torch.from_numpy(drawn(seed))
    task = task_of(logits.shape[1])
    target = torch.zeros(task.target_shape(logits), dtype=torch.int64)
    found = task.as_softmax(logits, target)[0].softmax(1)
    assert found.shape[1] == task.num_values
    torch.testing.assert_close(found[:, list(task.class_indices)], task.activate(logits))
    torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]))


@given(seed=seeds)
def test_of_equal_logits_the_first_is_predicted_and_zero_is_background(seed: int) -> None:
    logits = drawn(seed, whole=True)
    for dtype in (torch.float32, torch.bfloat16):
        found = task_of(logits.shape[1]).decide(torch.from_numpy(logits).to(dtype))
        assert found.dtype == torch.int64
        np.testing.assert_array_equal(found.numpy(), classes_of(logits, 0))


@given(seed=seeds)
def test_classes_from_probabilities_are_those_from_the_logits(seed: int) -> None:
    logits = drawn(seed)
    task = task_of(logits.shape[1])
    probabilities = task.activate(torch.from_numpy(logits))
    found = task.decide_probabilities(probabilities).numpy()
    np.testing.assert_array_equal(found, classes_of(probabilities.numpy(), 0.5))
    # The largest logit, with 0 for the background, may be closer to the second largest than rounding can distinguish.
    as_softmax, _ = task.as_softmax(torch.from_numpy(logits), torch.zeros(0))
    ordered = np.sort(as_softmax.numpy(), axis=1)
    apart = ordered[:, -1] - ordered[:, -2] > 1e-9
    np.testing.assert_array_equal(found[apart], task.decide(torch.from_numpy(logits)).numpy()[apart])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("num_classes", [2, 3, 11])
def test_classes_are_those_of_argmax(dtype: torch.dtype, layout: torch.memory_format, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    logits = torch.randint(-2, 3, (2, num_classes, 33, 17), generator=generator).to(dtype)
    logits[0, :, 0] = -math.inf
    logits[0, 1:, 1] = math.nan
    logits = logits.contiguous(memory_format=layout)
    assert torch.equal(task_of(num_classes).decide(logits), logits.argmax(1))


@given(seed=seeds)
def test_confidence_is_the_probability_of_the_predicted_class(seed: int) -> None:
    logits = drawn(seed)
    task = task_of(logits.shape[1])
    probabilities = task.activate(torch.from_numpy(logits))
    of_values = probabilities.numpy()
    if task.num_values > len(of_values[0]):
        of_values = np.concatenate([1 - of_values, of_values], axis=1)
    decided = task.decide_probabilities(probabilities).numpy()[:, None]
    expected = np.take_along_axis(of_values, decided, axis=1)[:, 0]
    np.testing.assert_array_equal(task.confidence(probabilities).numpy(), expected)
    assert (expected >= 1 / task.num_values).all()


@given(weights=arrays(np.int64, (4, 2, 3), elements=st.integers(0, 5)), near=st.booleans())
def test_logits_have_the_probabilities_and_their_classes(weights: np.ndarray, near: bool) -> None:
    probabilities = torch.from_numpy(weights + 0.1).float()
    probabilities /= probabilities.sum(0)
    if near:
        probabilities[1:] = torch.nextafter(probabilities[:1], torch.ones(()))
        probabilities /= 4
    for found in (probabilities, probabilities[:1]):
        task = task_of(len(found))
        logits = task.logits_of(found)
        assert torch.equal(task.decide(logits), task.decide_probabilities(found))
        expected = found if len(found) == 1 else found / found.sum(0)
        torch.testing.assert_close(task.activate(logits), expected, atol=2e-7, rtol=1e-5)


@given(seed=seeds, num_classes=counts)
def test_one_hot_marks_the_class_of_each_pixel_and_none_where_it_is_ignored(seed: int, num_classes: int) -> None:
    target = drawn_target(seed, num_classes)
    found = task_of(num_classes).one_hot(torch.from_numpy(target))
    assert found.dtype == torch.bool
    assert found.shape == (2, num_classes, 4, 3)
    for b, y, x in np.ndindex(*target.shape):
        value = int(target[b, y, x])
        labels = [1] if num_classes == 1 else list(range(num_classes))
        assert found[b, :, y, x].tolist() == [value == label and value != 255 for label in labels]


@given(seed=seeds, num_classes=counts)
def test_logits_certain_of_the_target_predict_it(seed: int, num_classes: int) -> None:
    target = torch.from_numpy(drawn_target(seed, num_classes))
    task = task_of(num_classes)
    shown = task.one_hot(target).float()
    valid = target != IGNORE_INDEX
    assert torch.equal(task.decide(2 * shown - 1)[valid], target[valid])
    assert torch.equal(task.decide_probabilities(shown)[valid], target[valid])


@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_a_batch_is_processed_as_each_image_alone(num_classes: int) -> None:
    task = task_of(num_classes)
    logits = torch.randn(3, num_classes, 4, 5, generator=torch.Generator().manual_seed(0))
    probabilities = task.activate(logits)
    for i in range(3):
        assert torch.equal(task.activate(logits[i]), probabilities[i])
        assert torch.equal(task.decide(logits[i]), task.decide(logits)[i])
        assert torch.equal(task.decide_probabilities(probabilities[i]), task.decide_probabilities(probabilities)[i])
        assert torch.equal(task.confidence(probabilities[i]), task.confidence(probabilities)[i])
        assert torch.equal(task.logits_of(probabilities[i]), task.logits_of(probabilities)[i])
        target = task.decide(logits)
        for alone, whole in zip(task.as_softmax(logits[i], target[i]), task.as_softmax(logits, target), strict=True):
            assert torch.equal(alone, whole[i])
        assert torch.equal(task.counted(target[i]), task.counted(target)[i])
        assert list(target[i].shape) == task.target_shape(logits[i])
        assert torch.equal(task.one_hot(target[i]), task.one_hot(target)[i])


def test_values_of_a_target_have_names() -> None:
    assert list(task_of(1).value_names(["lesion"])) == ["background", "lesion"]
    assert list(task_of(3).value_names(["sky", "road", "car"])) == ["sky", "road", "car"]
    for num_classes in (1, 2, 255):
        task, classes = task_of(num_classes), [f"class {index}" for index in range(num_classes)]
        names = task.value_names(classes)
        assert len(names) == task.num_values
        assert [names[index] for index in task.class_indices] == classes


@pytest.mark.parametrize("num_classes", [-1, 0, 256])
def test_other_numbers_of_classes_are_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=rf"num_classes is {num_classes}: expected 1 \(binary\) or 2 to 255"):
        task_of(num_classes)


@pytest.mark.parametrize(("num_classes", "largest"), [(1, 1), (2, 1), (7, 6)])
def test_a_target_is_checked_by_the_values_of_its_task(num_classes: int, largest: int) -> None:
    logits = torch.zeros(1, num_classes, 1, 3)
    task = check_logits_and_target(logits, torch.tensor([[[0, largest, 255]]]))
    assert (task.num_classes, task.num_values) == (num_classes, largest + 1)
    for wrong in (-1, largest + 1, 254):
        with pytest.raises(ValueError, match=f"has the value {wrong}: expected 0 to {largest}, or 255"):
            check_logits_and_target(logits, torch.tensor([[[0, wrong, 255]]]))


@pytest.mark.parametrize("num_classes", [0, 256])
def test_a_model_of_other_numbers_of_classes_is_not_a_model_of_segreg(num_classes: int) -> None:
    options = {"in_channels": 3, "num_classes": num_classes}
    about = {"segreg": "0.1", "architecture": "unet", "options": options, "plugin": "segreg 0.1", "size": [32, 32]}
    about |= {"classes": ["a"] * num_classes, "normalize": "image"}
    with pytest.raises(ValueError, match=f"num_classes is {num_classes}"):
        about_of(about)


# Where the number of classes is used without determining the task.
MEANT = {
    "segreg/evaluation/evaluate.py": {"len(classes) > 1"},  # the plural of a word
}


def questions(source: str) -> Iterator[str]:
    """Yield code that determines the task from the number of classes or logits, or predicts by argmax."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for one, operator, other in zip(sides, node.ops, sides[1:], strict=False):
                if any(_counts_classes(a) and _parts_tasks(operator, b) for a, b in ((one, other), (other, one))):
                    yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "max":
            if len(node.args) == 2 and any(_is(each, 2) for each in node.args):
                yield ast.unparse(node)
        elif isinstance(node, ast.Attribute) and node.attr == "argmax":
            yield ast.unparse(node)


def _counts_classes(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "len" and len(node.args) == 1:
        return isinstance(node.args[0], ast.Name | ast.Attribute) and _named(node.args[0]).endswith(
            ("classes", "logits", "probabilities")
        )
    if isinstance(node, ast.Subscript):
        return _named(node.value) == "shape" and _is(node.slice, 1)
    return _named(node) == "num_classes"


def _parts_tasks(operator: ast.cmpop, bound: ast.expr) -> bool:
    return _is(bound, 1) or (_is(bound, 2) and isinstance(operator, ast.Lt | ast.GtE | ast.Gt | ast.LtE))


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is(node: ast.expr, number: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == number


def test_the_task_is_determined_nowhere_else() -> None:
    files = [*PACKAGE.rglob("*.py"), *PLUGINS.glob("*/segreg_*/**/*.py")]
    assert {"averaging.py", "losses.py", "hinge.py"} <= {path.name for path in files}
    found = {}
    for path in files:
        name = path.relative_to(PACKAGE.parent if path.is_relative_to(PACKAGE) else PLUGINS.parent).as_posix()
        asked = set(questions(path.read_text(encoding="utf-8"))) - MEANT.get(name, set())
        # The conformance kit is an oracle, and does not use what it checks.
        if asked and name != "segreg/task.py" and not name.startswith("segreg/testing/"):
            found[name] = asked
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)",
        "about.num_classes > 1",
        "if 1 != len(self.classes): pass",
        "a = num_classes >= 2",
        "len(theirs) == len(classes) == 1",
        "first = probabilities[0] if len(probabilities) == 1 else probabilities[1]",
        "max(2, len(names))",
        "limit = max(logits.shape[1], 2)",
        "predicted = logits.argmax(dim=1)",
        "np.argmax(logits, axis=1)",
    ],
)
def test_determining_the_task_is_detected(source: str) -> None:
    assert list(questions(source))


def test_other_code_is_left_alone() -> None:
    harmless = "logits.shape[1] != self.num_classes, x.shape[0] == 1, max(1, batch), len(names) == 1, x.shape[1] == 3"
    assert not list(questions(harmless))


@given(seed=seeds)
def test_pixels_are_counted_by_the_value_of_their_target(seed: int) -> None:
    logits = drawn(seed)
    task = task_of(logits.shape[1])
    rng = np.random.default_rng(seed)
    shape = task.target_shape(torch.from_numpy(logits))
    target = rng.choice([*range(task.num_values), IGNORE_INDEX], shape)
    counts = task.count(torch.from_numpy(logits), torch.from_numpy(target))
    decided = classes_of(logits, 0)
    for i in range(len(target)):
        counted = target[i] != IGNORE_INDEX
        for value in range(task.num_values):
            shown, true = counted & (decided[i] == value), target[i] == value
            expected = [int((shown & true).sum()), int(shown.sum()), int(true.sum())]
            assert counts[:, i, value].tolist() == expected
    assert list(range(task.num_values))[task.scored] == list(task.class_indices)
