"""The error for a training step that does not fit in the memory of the device."""

import shlex
from itertools import islice

from segreg.errors import TrainingError
from segreg.runs.run import Run
from segreg.scoring.evaluator import evaluation_batch
from segreg.support.device import device_name, give_back_memory, is_out_of_memory
from segreg.training.checkpoint import checkpoint_path
from segreg.training.trainer import Trainer


def out_of_memory(trainer: Trainer, run: Run) -> TrainingError:
    """Return the error, with the first of batch / 2, batch / 4, ... that fits. The trials ruin the trainer's state."""
    recipe, device = trainer.recipe, trainer.device
    epoch = len(trainer.state.history) + 1
    batch = min(recipe.batch, len(trainer.data.splits["train"]))
    smaller = batch // 2
    while smaller and not _fits(trainer, smaller):
        smaller //= 2
    height, width = recipe.size
    what = f"out of memory on {device_name(device)} in epoch {epoch}: batch {batch} at {height}x{width} does not fit"
    if not smaller:
        return TrainingError(f"{what}, and neither does batch 1: try a smaller --size, or another model")
    # Without a checkpoint nothing was trained with the larger batch yet, so that there is nothing to force.
    force = " --force" if checkpoint_path(run).exists() else ""
    return TrainingError(
        f"{what}, batch {smaller} does; "
        f"resume with: segreg train --resume {shlex.quote(str(run.path))} --batch {smaller}{force}"
    )


def _fits(trainer: Trainer, batch: int) -> bool:
    """Take a step and score a batch, as training with this batch size would."""
    state, splits, device = trainer.state, trainer.data.splits, trainer.device
    state.optimizer.zero_grad()
    give_back_memory(device)
    try:
        trainer.step(*next(splits["train"].batches(batch, device)))
        scored = islice(splits["valid"].batches(evaluation_batch(batch), device), 1)
        trainer.evaluator.evaluate(state.evaluated, state.loss, scored)
    except Exception as error:
        if is_out_of_memory(error):
            return False
        raise
    return True
