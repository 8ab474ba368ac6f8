"""Stops a run whose loss or weights are no longer finite, before they are written to disk."""

import math

import torch

from segreg.errors import TrainingError
from segreg.recipe import Recipe
from segreg.support.device import uses_bf16
from segreg.training.checkpoint import Checkpoints
from segreg.training.state import State


def check_finite(recipe: Recipe, state: State, checkpoints: Checkpoints | None) -> None:
    """Check the losses of the current epoch and the resulting weights. This waits for the device.

    Raises:
        TrainingError: one is not finite; the message says where, what was kept, and what the cause may be.
    """
    epoch = state.epoch
    assert epoch
    steps = len(epoch.losses)
    losses = epoch.losses[: epoch.step].tolist()
    bad = next((step for step, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    finite = torch.stack([weights.detach().isfinite().all() for weights in state.model.parameters()]).all()
    if bad is None and finite:
        return
    what = f"the loss was {losses[bad - 1]}" if bad else "the weights were no longer finite"
    kept = [
        *([f"the weights of epoch {state.best_epoch}"] if state.best_epoch else []),
        *([f"the checkpoint after {checkpoints.last}"] if checkpoints and checkpoints.last else []),
    ]
    causes = [f"too high a learning rate (try one below {state.optimizer.defaults['lr']:g})"]
    if recipe.clip_grad is None:
        causes.append("exploding gradients (try --clip-grad 1)")
    if uses_bf16(epoch.losses.device, recipe.precision):
        causes.append("rounding (try --precision fp32)")
    raise TrainingError(
        f"{what} in epoch {len(state.history) + 1}, step {bad or epoch.step} of {steps}; "
        f"kept: {' and '.join(kept) or 'nothing'}; "
        f"likely causes: {', '.join(causes)}, or the loss itself"
    )
