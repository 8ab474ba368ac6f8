"""Hinge loss."""

from torch import Tensor, nn

from segreg.builtins.losses.common import check_input, masked_mean


class HingeLoss(nn.Module):
    """Hinge loss: how far a logit falls short of the margin on its correct side, averaged over pixels and classes.

    Args:
        margin: Logits beyond it on the correct side cost nothing. Above 0.

    Shapes:
        logits: float [B, K, H, W];  target: int64 [B, H, W];  returns: float [].

    Raises:
        ValueError: the margin is not above 0; the shapes disagree, or the target has values outside [0, K) other than
            255, which is ignored.

    Reference: Rifkin and Klautau, In Defense of One-Vs-All Classification, 2004.
    """

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin is {margin}: expected above 0")
        self.margin = margin

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, float []."""
        logits, valid, task = check_input(logits, target)
        sign = 2 * task.one_hot(target).to(logits) - 1
        return masked_mean((self.margin - sign * logits).relu(), valid)
