"""A ground truth with objects, and predictions of it that are wrong in one place or about one pair of classes."""

from collections.abc import Callable, Iterator
from itertools import product
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
        yield f"the object in row {row + 1}, column {column + 1} of {_TILES}x{_TILES} misplaced", prediction


def confused(classes: int) -> Iterator[tuple[str, Tensor]]:
    """Yield what is wrong with a prediction, and the prediction: the objects of one class are taken for another.

    Instead of being taken for background, they are misplaced: so it is about both.
    """
    for one, other in product(range(1, max(classes, 2)), range(max(classes, 2))):
        if one == other:
            continue
        prediction = ground_truth(classes)
        for index in range(_TILES**2):
            if _class_of(index, classes) == one and other:
                _object(prediction, index)[:] = other
            elif _class_of(index, classes) == one:
                _move(prediction, index)
        yield f"class {one} taken for class {other}", prediction


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
