"""What the losses share: input checks, masks, and the overlap of a soft prediction with the ground truth."""

import torch
from torch import Tensor

from segreg.contracts import check_logits_and_target
from segreg.task import Task


def check_input(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Task]:
    """Check both and return the logits in float32 (float64 stays), which of them count, and the task.

    Operations on float32 stay in float32 inside autocast, except matrix products, which no loss uses.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [B, K, H, W], bool [B, 1, H, W],
            task.

    Raises:
        ValueError: the logits are not floating point, or what `check_logits_and_target` names.
    """
    task = check_logits_and_target(logits, target)
    if not logits.is_floating_point():
        raise ValueError(f"the logits must be floating point, not {logits.dtype}: pass the output of the model")
    return logits.to(torch.promote_types(logits.dtype, torch.float32)), task.counted(target), task


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values where the mask, broadcast to them, is true; 0 if it is true nowhere."""
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def counted_classes(task: Task, ground_truth: Tensor, valid: Tensor) -> Tensor:
    """Return which pairs of image and class the overlap losses average over.

    If classes are independent, these are all images that are not ignored entirely: an empty mask is a ground truth to
    be learnt. Otherwise they are the classes present in the image: pixels wrongly assigned to an absent class are
    missing from a present one, and are penalized there. Counting absent classes too would add nearly 1 for each.

    Shapes:
        ground_truth: float [B, K, H, W], one-hot;  valid: bool [B, 1, H, W];  returns: bool [B, K].
    """
    present = valid if task.independent else ground_truth.bool()
    return present.any(dim=(2, 3))


def soft_overlap(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return true positives, false positives and false negatives, computed from probabilities, and which to average.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: three float [B, K], and bool [B, K].

    Raises:
        ValueError: as for `check_input`.
    """
    logits, valid, task = check_input(logits, target)
    probability = task.activate(logits)
    ground_truth = task.one_hot(target).to(logits)
    # Sums of non-negative products: differences of sums would lose the last small errors to rounding.
    true_positives = (probability * ground_truth).sum(dim=(2, 3))
    false_positives = (probability * (valid * (1 - ground_truth))).sum(dim=(2, 3))
    false_negatives = ((1 - probability) * ground_truth).sum(dim=(2, 3))
    return true_positives, false_positives, false_negatives, counted_classes(task, ground_truth, valid)
