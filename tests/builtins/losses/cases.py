"""Inputs and loops that the tests of the losses share. The oracles themselves are in the test of each loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

Case = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def draw_case(
    seed: int,
    *,
    batch: int = 2,
    classes: int = 1,
    height: int = 5,
    width: int = 4,
    scale: float = 2.0,
    ignored: float = 0.2,
) -> Case:
    """Logits [B, K, H, W] and a target [B, H, W], of which a share is ignored."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((batch, classes, height, width))
    target = rng.integers(0, max(classes, 2), (batch, height, width))
    target[rng.random(target.shape) < ignored] = 255
    return logits, target


def cases(max_classes: int = 4) -> st.SearchStrategy[Case]:
    """Cases of any shape. All derive from one drawn seed: drawn one by one, most sizes are 1 and most masks alike."""

    def draw(seed: int) -> Case:
        rng = np.random.default_rng(seed)
        return draw_case(
            seed,
            batch=int(rng.integers(1, 4)),
            classes=int(rng.integers(1, max_classes + 1)),
            height=int(rng.integers(1, 7)),
            width=int(rng.integers(1, 7)),
            scale=float(rng.choice([0.1, 2.0, 15.0])),
            ignored=float(rng.choice([0.0, 0.3, 0.3, 0.9, 1.0])),
        )

    return st.integers(0, 2**32 - 1).map(draw)


def tensors(case: Case, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    logits, target = case
    return torch.tensor(logits, dtype=dtype, requires_grad=True), torch.tensor(target)


def value(loss: nn.Module, case: Case) -> float:
    """The loss of a case in float64."""
    result = loss(*tensors(case))
    assert result.shape == ()
    assert result.dtype == torch.float64
    return float(result.detach())


def pixels(case: Case) -> Iterator[tuple[npt.NDArray[np.float64], int]]:
    """The logits [K] and the class of every pixel that is not ignored."""
    logits, target = case
    for image, row, column in np.ndindex(target.shape):
        if target[image, row, column] != 255:
            yield logits[image, :, row, column], int(target[image, row, column])


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def sigmoid(logit: Any) -> Any:
    return 1 / (1 + np.exp(-logit))


def overlaps(case: Case) -> Iterator[tuple[float, float, float]]:
    """Soft tp, fp and fn of every image and class that counts, added up pixel by pixel."""
    logits, target = case
    for image in range(len(logits)):
        one = (logits[image : image + 1], target[image : image + 1])
        seen = list(pixels(one))
        for index in range(logits.shape[1]):
            wanted = 1 if logits.shape[1] == 1 else index
            tp = fp = fn = 0.0
            for pixel, ground_truth in seen:
                p = sigmoid(pixel[0]) if len(pixel) == 1 else softmax(pixel)[index]
                tp += p * (ground_truth == wanted)
                fp += p * (ground_truth != wanted)
                fn += (1 - p) * (ground_truth == wanted)
            if (logits.shape[1] == 1 and seen) or any(ground_truth == wanted for _, ground_truth in seen):
                yield tp, fp, fn


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
