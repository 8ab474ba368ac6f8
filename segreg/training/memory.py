"""What to say when the memory of the device does not hold a training step."""

import shlex
from collections.abc import Mapping

from segreg.errors import TrainingError
from segreg.training.checkpoint import State, state_path
from segreg.training.device import describe, give_back_memory, is_out_of_memory
from segreg.training.evaluation import evaluate, evaluation_batch
from segreg.training.loop import Parts, take_step
from segreg.training.pictures import Pictures
from segreg.training.recipe import Recipe
from segreg.training.run import Run


def out_of_memory(
    recipe: Recipe, parts: Parts, splits: Mapping[str, Pictures], state: State, run: Run
) -> TrainingError:
    """Return the error, with the first half, quarter, ... of the batch that fits. The trials spoil the state."""
    epoch = len(state.rows) + 1
    batch = min(recipe.batch, len(splits["train"]))
    smaller = batch // 2
    while smaller and not _fits(recipe, parts, splits, state, smaller):
        smaller //= 2
    height, width = recipe.size
    what = f"out of memory on {describe(parts.device)} in epoch {epoch}: batch {batch} at {height}x{width} does not fit"
    if not smaller:
        return TrainingError(f"{what}, and neither does batch 1: try a smaller --size, or another model")
    # Without a state nothing was computed with the larger batch yet, and nobody has to insist.
    force = " --force" if state_path(run).exists() else ""
    return TrainingError(
        f"{what}, batch {smaller} does; "
        f"go on with: segreg train --resume {shlex.quote(str(run.path))} --batch {smaller}{force}"
    )


def _fits(recipe: Recipe, parts: Parts, splits: Mapping[str, Pictures], state: State, batch: int) -> bool:
    """Take a step and score a batch, as training with this batch would."""
    state.optimizer.zero_grad()
    give_back_memory(parts.device)
    try:
        images, target = next(splits["train"].batches(batch, parts.device))
        take_step(parts, state, recipe.precision, images, target)
        scored = evaluation_batch(batch)
        valid = splits["valid"]
        few = Pictures(valid.images[:scored], valid.masks[:scored], valid.names[:scored])
        evaluate(state.evaluated, few, parts.loss, {}, batch=scored, device=parts.device, precision=recipe.precision)
    except Exception as error:
        if is_out_of_memory(error):
            return False
        raise
    return True
