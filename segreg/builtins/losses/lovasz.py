"""Lovász loss."""

from torch import Tensor, nn

from segreg.builtins.losses.common import check_input, counted_classes, masked_mean


class LovaszLoss(nn.Module):
    """Lovász extension of the Jaccard loss: convex in the errors, and equal to 1 - IoU where each error is 0 or 1.

    With one logit the errors are hinges, max(0, 1 - x) in the foreground and max(0, 1 + x) in the background, so the
    loss has no upper bound, and an empty mask is penalized only for its worst pixel. With K >= 2 they are the distances
    of the softmax from the ground truth. The loss is computed per image and averaged over the classes present in it;
    with one logit, over all images.

    Formula:
        sum over i of e_i (J_i - J_(i-1)),  e the errors, largest first,
        J_i the Jaccard loss, 1 - IoU, if the first i pixels were wrong and the others right

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: the shapes disagree; the target has values that are neither a class nor 255.

    Reference: Berman et al., The Lovász-Softmax loss, 2018, arXiv:1705.08790, eq. 8 and 9 (the extension) and 11 (the
        errors of the softmax).
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        logits, valid, task = check_input(logits, target)
        ground_truth = task.one_hot(target).to(logits)
        errors = (
            (1 - logits * (2 * ground_truth - 1)).relu()
            if task.independent
            else (ground_truth - task.activate(logits)).abs()
        )
        errors, order = errors.flatten(2).sort(dim=2, descending=True)
        foreground = ground_truth.flatten(2).gather(2, order)
        background = (valid * (1 - ground_truth)).flatten(2).gather(2, order)
        loss = (errors * _jaccard_steps(foreground, background)).sum(dim=2)
        return masked_mean(loss, counted_classes(task, ground_truth, valid))


def _jaccard_steps(foreground: Tensor, background: Tensor) -> Tensor:
    """Return by how much each further wrong pixel, worst first, raises the Jaccard loss (eq. 9).

    An ignored pixel is neither foreground nor background, so its step is 0 wherever it is sorted to.

    Shapes:
        foreground, background: float [B, K, H * W], 0 or 1;  returns: float [B, K, H * W].
    """
    false_negatives = foreground.cumsum(dim=2)
    false_positives = background.cumsum(dim=2)
    union = foreground.sum(dim=2, keepdim=True) + false_positives
    # The union is 0 only before the first pixel that counts, where there is nothing wrong either.
    jaccard = (false_negatives + false_positives) / union.clamp(min=1)
    return jaccard.diff(dim=2, prepend=jaccard.new_zeros(*jaccard.shape[:2], 1))
