"""The conformance checks of an augmentation: `matrix`, `displacement` or `change`, random only by what it is given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from segreg.contracts import DisplacementAugmentation, ImageAugmentation, MatrixAugmentation
from segreg.testing.process import expect_no_global_change
from segreg.testing.subject import Check, ComponentSubject, expect, same_values

# Square, wide and tall.
_SIZES = ((16, 16), (9, 20), (21, 8))
_HIGHEST = 1 - 2**-24
# So many images that those that are rarely changed are among them, and so many calls that slow changes show.
_MANY, _CALLS = 64, 60


def _uniforms(augmentation: Any, images: int) -> Tensor:
    u = torch.rand(images, augmentation.draws)
    # In many rows close to 0 or 1, so that what is rarely done to an image is done to some.
    u[1::3] **= 8
    u[2::3] = (1 - u[2::3] ** 8).clamp(max=_HIGHEST)
    return u


def _results(augmentation: Any, images: Tensor, u: Tensor) -> Mapping[str, Tensor]:
    """Call each method that it has."""
    size = (images.shape[2], images.shape[3])
    results = {}
    if isinstance(augmentation, MatrixAugmentation):
        results["matrix"] = augmentation.matrix(u, size)
    if isinstance(augmentation, DisplacementAugmentation):
        results["displacement"] = augmentation.displacement(u, size)
    if isinstance(augmentation, ImageAugmentation):
        results["change"] = augmentation.change(images, u)
    return results


def _expect_form(results: Mapping[str, Tensor], images: Tensor) -> None:
    batch, _, height, width = images.shape
    shapes = {"matrix": [batch, 3, 3], "displacement": [batch, height, width, 2], "change": [*images.shape]}
    for name, result in results.items():
        call = f"for images {list(images.shape)}, {name}"
        expect(isinstance(result, Tensor), f"{call} returns {type(result).__name__}, not a tensor")
        expect(
            list(result.shape) == shapes[name] and result.dtype == torch.float32,
            f"{call} returns {result.dtype} {list(result.shape)}: expected torch.float32 {shapes[name]}",
        )


def has_one_of_three_methods(subject: ComponentSubject) -> None:
    """It has `matrix`, `displacement` or `change`, and `draws`, the number of uniform numbers that it needs."""
    augmentation = subject.build()
    draws = getattr(augmentation, "draws", None)
    expect(type(draws) is int and draws >= 0, f"draws is {draws!r}: expected a whole number, 0 or more")
    expect(
        bool(_results(augmentation, torch.rand(1, 3, 8, 8), _uniforms(augmentation, 1))),
        "it has none of the methods matrix, displacement and change",
    )


def results_have_their_form(subject: ComponentSubject) -> None:
    """Results are finite, float32 and of their shapes, for any size, a batch of one, and the extremes of `u`.

    Matrices are affine, with (0, 0, 1) as their last row, and can be inverted: anything else is a displacement.
    """
    augmentation = subject.build()
    for size in _SIZES:
        for batch in (1, 3):
            images = torch.rand(batch, 3, *size)
            draws = _uniforms(augmentation, batch)
            for u in (draws, torch.zeros_like(draws), torch.full_like(draws, _HIGHEST)):
                results = _results(augmentation, images, u)
                _expect_form(results, images)
                for name, result in results.items():
                    expect(result.isfinite().all(), f"{name} returns numbers that are not finite")
                if "matrix" in results:
                    matrix = results["matrix"]
                    affine = (matrix[:, 2] == torch.tensor([0.0, 0, 1])).all()
                    expect(affine, f"the last row of a matrix is {matrix[0, 2].tolist()}, not [0, 0, 1]")
                    expect((matrix.det().abs() > 1e-6).all(), "a matrix maps all pixels to a line or a point")


def values_stay_in_range(subject: ComponentSubject) -> None:
    """What it changes stays in [0, 1], also in images that are black or white."""
    augmentation = subject.build()
    images = torch.rand(_MANY, 3, 9, 8)
    draws = _uniforms(augmentation, _MANY)
    for shown in (images, images.round(), torch.zeros_like(images), torch.ones_like(images)):
        for u in (draws, torch.zeros_like(draws), torch.full_like(draws, _HIGHEST)):
            result = _results(augmentation, shown, u).get("change")
            if result is not None:
                low, high = (float(each) for each in result.aminmax())
                expect(0 <= low <= high <= 1, f"it returns values from {low:.4g} to {high:.4g}: expected 0 to 1")


def any_channels(subject: ComponentSubject) -> None:
    """Images may have 1 or 4 channels too."""
    augmentation = subject.build()
    for channels in (1, 4):
        images = torch.rand(2, channels, 9, 8)
        _expect_form(_results(augmentation, images, _uniforms(augmentation, 2)), images)


def something_changes(subject: ComponentSubject) -> None:
    """Some images are changed, and how follows from `u`."""
    augmentation = subject.build()
    images = torch.rand(1, 3, 16, 16).repeat(_MANY, 1, 1, 1)
    results = _results(augmentation, images, _uniforms(augmentation, _MANY))
    unchanged = {"matrix": torch.eye(3), "displacement": torch.zeros(()), "change": images}
    expect(
        any((result != unchanged[name]).any() for name, result in results.items()),
        f"it changes none of {_MANY} images",
    )
    expect(
        augmentation.draws == 0 or any((result != result[:1]).any() for result in results.values()),
        f"it treats {_MANY} images alike, whatever u: use the numbers that it draws, or draw none",
    )


def images_of_a_batch_are_independent(subject: ComponentSubject) -> None:
    """An image's result depends on its own pixels and its own row of `u` only: any batch size gives the same."""
    augmentation = subject.build()
    images, u = torch.rand(_MANY, 3, 9, 12), _uniforms(augmentation, _MANY)
    results = _results(augmentation, images, u)
    turned = _results(augmentation, images.flip(0), u.flip(0))
    for name, result in results.items():
        expect(
            same_values(turned[name].flip(0), result),
            f"{name} gives an image something else where the batch is in another order",
        )
    for number in range(len(images)):
        alone = _results(augmentation, images[number : number + 1], u[number : number + 1])
        for name, result in results.items():
            expect(
                same_values(alone[name][0], result[number]), f"{name} gives an image something else in a batch of one"
            )


def randomness_follows_from_what_it_is_given(subject: ComponentSubject) -> None:
    """The same images and `u` give the same, whatever was called before and by which instance: it keeps no state."""
    augmentation = subject.build()
    images, u = torch.rand(_MANY, 3, 9, 12), _uniforms(augmentation, _MANY)
    first = {name: result.clone() for name, result in _results(augmentation, images, u).items()}

    def expect_same(results: Mapping[str, Tensor], when: str) -> None:
        for name, result in results.items():
            expect(
                torch.equal(result, first[name]),
                f"{name} gives something else {when}: all that is random must follow from u",
            )

    expect_same(_results(augmentation, images, u), "when it is called again")
    for _ in range(_CALLS):
        _results(augmentation, torch.rand(2, 3, 16, 16), _uniforms(augmentation, 2))
    expect_same(_results(augmentation, images, u), f"after {_CALLS} other calls")
    expect_same(_results(subject.build(), images, u), "from another instance")


def input_is_not_modified(subject: ComponentSubject) -> None:
    """Neither the images nor `u` are modified."""
    augmentation = subject.build()
    images, u = torch.rand(_MANY, 3, 9, 8), _uniforms(augmentation, _MANY)
    kept = images.clone(), u.clone()
    _results(augmentation, images, u)
    expect(torch.equal(images, kept[0]), "it changes the images in place")
    expect(torch.equal(u, kept[1]), "it changes u in place")


def runs_without_values(subject: ComponentSubject) -> None:
    """`displacement` and `change` can be called on the `meta` device: nothing synchronizes with the device."""
    augmentation = subject.build()
    images, u = torch.rand(2, 3, 9, 8), _uniforms(augmentation, 2)
    for name in _results(augmentation, images, u).keys() - {"matrix"}:
        there, draws = images.to("meta"), u.to("meta")
        result = augmentation.change(there, draws) if name == "change" else augmentation.displacement(draws, (9, 8))
        expect(result.device.type == "meta", f"{name} returns a tensor on the {result.device}, not where u is")
        _expect_form({name: result}, there)


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Building and calling it changes nothing of the process, and draws no random numbers."""
    expect_no_global_change(lambda: _used(subject))


def _used(subject: ComponentSubject) -> Iterator[tuple[str, Sequence[Tensor]]]:
    augmentation = subject.build()
    yield "building it", []
    images = torch.linspace(0, 1, 4 * 3 * 9 * 8).view(4, 3, 9, 8)
    u = torch.linspace(0, _HIGHEST, 4)[:, None].repeat(1, augmentation.draws)
    yield "calling it", list(_results(augmentation, images, u).values())


CHECKS = (
    Check(has_one_of_three_methods),
    Check(results_have_their_form),
    Check(values_stay_in_range),
    Check(any_channels),
    Check(something_changes),
    Check(images_of_a_batch_are_independent),
    Check(randomness_follows_from_what_it_is_given),
    Check(input_is_not_modified),
    Check(runs_without_values),
    Check(global_state_is_not_modified),
)
