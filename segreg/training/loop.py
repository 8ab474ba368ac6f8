"""The training loop."""

import math
import time
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from segreg.contracts import SegmentationMetric
from segreg.errors import TrainingError
from segreg.training.average import Average
from segreg.training.checkpoint import Checkpoints, State
from segreg.training.device import Precision, autocast
from segreg.training.evaluation import evaluate, evaluation_batch, is_better
from segreg.training.normalized import Normalized
from segreg.training.pictures import Augmentation, Pictures
from segreg.training.progress import Display
from segreg.training.recipe import Recipe
from segreg.training.run import Run


@attrs.frozen(kw_only=True)
class Parts:
    """What a recipe's names stand for, on one device.

    Args:
        model: Maps images in [0, 1] to logits.
        loss: Maps logits and target to a scalar.
        metrics: By the names in the recipe; the first one decides which weights are the best.
        higher_is_better: Which way the first metric goes.
        device: Where all of them are.
    """

    model: Normalized
    loss: nn.Module
    metrics: Mapping[str, SegmentationMetric]
    higher_is_better: bool
    device: torch.device


def train(
    recipe: Recipe,
    parts: Parts,
    splits: Mapping[str, Pictures],
    state: State,
    run: Run,
    checkpoints: Checkpoints,
    display: Display,
) -> None:
    """Train from a state to the last epoch of the recipe; the state changes along the way.

    Raises:
        TrainingError: the loss is no longer a finite number.
    """
    for epoch in range(len(state.rows) + 1, recipe.epochs + 1):
        # All that is random in an epoch follows from this line, which makes a resumed run equal to an unbroken one.
        torch.manual_seed(recipe.seed + 1_000_003 * epoch)
        started = time.monotonic()
        lr = float(state.schedule.get_last_lr()[0])
        trained = train_epoch(recipe, parts, splits["train"], state, display)
        seconds = time.monotonic() - started
        if not math.isfinite(trained["loss"]):
            kept = f"the weights of epoch {state.best_epoch} are kept" if state.best_epoch else "there are no weights"
            raise TrainingError(
                f"the loss was {trained['loss']} in epoch {epoch}; {kept}: try a learning rate below {recipe.lr:g}, "
                "precision fp32, or another loss"
            )
        valid = evaluate(
            state.evaluated,
            splits["valid"],
            parts.loss,
            parts.metrics,
            batch=evaluation_batch(recipe.batch),
            device=parts.device,
            precision=recipe.precision,
        )
        state.rows.append(
            {
                "epoch": epoch,
                **{f"train_{name}": value for name, value in trained.items()},
                **{f"valid_{name}": value for name, value in valid.items()},
                "lr": lr,
                "seconds": time.monotonic() - started,
                "images_per_second": len(splits["train"]) / seconds,
            }
        )
        value = valid[recipe.metrics[0]]
        best = not state.best_epoch or is_better(value, state.best, parts.higher_is_better)
        if best:
            state.keep_best(value)
        run.write_history(state.rows)
        checkpoints.offer(state)
        display.epoch(state.rows[-1], recipe.epochs, best)


def train_epoch(recipe: Recipe, parts: Parts, pictures: Pictures, state: State, display: Display) -> dict[str, float]:
    """Take one step a batch, and return the mean loss and the metrics of the predictions made on the way."""
    state.model.train()
    change = Augmentation(recipe.augment)
    total = torch.zeros((), device=parts.device)
    steps = math.ceil(len(pictures) / recipe.batch)
    for metric in parts.metrics.values():
        metric.reset()
    batches = pictures.batches(recipe.batch, parts.device, torch.randperm(len(pictures)))
    for step, (images, target) in enumerate(batches, 1):
        images, target = change(images, target)
        loss, logits = take_step(parts, state, recipe.precision, images, target)
        total += loss * len(images)
        for metric in parts.metrics.values():
            metric.update(logits, target)
        display.training(recipe.label, len(state.rows) + 1, recipe.epochs, step, steps)
    return {
        "loss": float(total) / len(pictures),
        **{name: metric.compute() for name, metric in parts.metrics.items()},
    }


def take_step(
    parts: Parts, state: State, precision: Precision, images: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Change the weights once; return the loss and the logits that they gave before. Nothing waits for the device.

    Shapes:
        images: float [B, C, H, W] in [0, 1];  target: int64 [B, H, W];  returns: float [], float [B, K, H, W].
    """
    with autocast(parts.device, precision):
        logits: Tensor = state.model(images)
    loss: Tensor = parts.loss(logits, target)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.schedule.step()
    if state.average:
        state.average.update(state.model)
    return loss.detach(), logits.detach()


def start(recipe: Recipe, parts: Parts, pictures: int) -> State:
    """Return the state before the first epoch, for a number of training pictures."""
    steps = math.ceil(pictures / recipe.batch)
    optimizer = torch.optim.AdamW(
        parts.model.parameters(),
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        fused=parts.device.type in ("cpu", "cuda"),
    )
    schedule: LRScheduler
    # OneCycleLR divides by zero in ten steps, and below that begins after its own peak.
    if recipe.schedule == "onecycle" and recipe.epochs * steps > 10:
        schedule = OneCycleLR(optimizer, recipe.lr, recipe.epochs * steps, pct_start=0.1, cycle_momentum=False)
    else:
        schedule = ConstantLR(optimizer, factor=1.0, total_iters=0)
    average = Average(parts.model) if recipe.average == "ema" else None
    return State(model=parts.model, optimizer=optimizer, schedule=schedule, average=average)
