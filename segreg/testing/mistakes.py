"""A ground truth with objects, and predictions of it that are wrong in one place or about one pair of classes."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Mistakes: TypeAlias = Callable[[int], Iterator[tuple[str, Tensor]]]
"""Yields predictions for a number of classes, each with what is wrong with it."""

# Nine tiles with an object each, in an image larger than what a component might look at of a small one.
_TILES, _TILE, _OBJECT, _GAP = 3, 72, 22, 9


def ground_truth(classes: int) -> Tensor:
    """Return one mask, int64 [1, H, W], with an object in each tile, whose classes take turns."""
    mask = torch.zeros(1, _TILES * _TILE, _TILES * _TILE, dtype=torch.int64)
    for index in range(_TILES**2):
        _object(mask, index)[:] = _class_of(index, classes)
    return mask


def misplaced(classes: int) -> Iterator[tuple[str, Tensor]]:
    """Yield what is wrong with a prediction, and the prediction: one object is at another place in its tile.

    So it is both missed and found where it is not, which makes every measure of overlap or distance worse.
    """
    for index in range(_TILES**2):
        prediction = ground_truth(classes)
        _move(prediction, index)
        row, column = divmod(index, _TILES)
        yield f"the object in row {row + 1}, column {column + 1} of {_TILES}x{_TILES}", prediction


def confused(classes: int) -> Iterator[tuple[str, Tensor]]:
    """Yield what is wrong with a prediction, and the prediction: two classes are taken for each other.

    Objects of two classes change their labels. Against the background they are misplaced: inverted, their boundaries
    would be where they should be.
    """
    for one, other in combinations(range(max(classes, 2)), 2):
        prediction = ground_truth(classes)
        for index in range(_TILES**2):
            label = _class_of(index, classes)
            if one and label in (one, other):
                _object(prediction, index)[:] = one + other - label
            elif not one and label == other:
                _move(prediction, index)
        yield f"classes {one} and {other}", prediction


def confident(prediction: Tensor, classes: int) -> Tensor:
    """Return logits of ±8 that predict a mask, float [B, K, H, W]."""
    return 8 * (2 * F.one_hot(prediction, max(classes, 2)).movedim(-1, 1)[:, -classes:].float() - 1)


def _class_of(index: int, classes: int) -> int:
    return 1 + index % max(classes - 1, 1)


def _object(mask: Tensor, index: int, offset: int = _GAP) -> Tensor:
    """Return the part of a mask in which a tile has its object, or has room for it with another offset."""
    top, left = (_TILE * place + offset for place in divmod(index, _TILES))
    return mask[..., top : top + _OBJECT, left : left + _OBJECT]


def _move(mask: Tensor, index: int) -> None:
    label = int(_object(mask, index)[0, 0, 0])
    _object(mask, index)[:] = 0
    _object(mask, index, _TILE - _OBJECT - _GAP)[:] = label
