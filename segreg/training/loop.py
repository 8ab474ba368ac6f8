"""The training loop."""

import math
import time
from collections.abc import Mapping
from typing import cast

import attrs
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from segreg.contracts import SegmentationMetric
from segreg.training.average import Average
from segreg.training.checkpoint import Checkpoints, Epoch, State
from segreg.training.device import Precision, autocast
from segreg.training.evaluation import evaluate, evaluation_batch, is_better
from segreg.training.finite import check_finite
from segreg.training.normalized import Normalized
from segreg.training.pictures import Augmentation, Pictures
from segreg.training.progress import Display
from segreg.training.randomness import random_state, restore_random_state, seed_all
from segreg.training.recipe import Recipe
from segreg.training.run import Run
from segreg.training.tracking import Tracking


@attrs.frozen(kw_only=True)
class Parts:
    """What a recipe's names stand for, on one device.

    Args:
        model: Maps images in [0, 1] to logits.
        loss: Maps logits and target to a scalar.
        metrics: By the names in the recipe; the first one decides which weights are the best.
        higher_is_better: Which way the first metric goes.
        device: Where all of them are.
        clip_grad: Greatest norm of the gradients of a step, if there is one.
    """

    model: Normalized
    loss: nn.Module
    metrics: Mapping[str, SegmentationMetric]
    higher_is_better: bool
    device: torch.device
    clip_grad: float | None = None


def train(
    recipe: Recipe,
    parts: Parts,
    splits: Mapping[str, Pictures],
    state: State,
    run: Run,
    checkpoints: Checkpoints,
    display: Display,
    tracking: Tracking,
) -> None:
    """Train from a state to the last epoch of the recipe; the state changes along the way.

    Raises:
        TrainingError: a loss or the weights are no longer finite numbers.
        RunError: a file cannot be written.
    """
    pictures = splits["train"]
    steps = math.ceil(len(pictures) / recipe.batch)
    for epoch in range(len(state.rows) + 1, recipe.epochs + 1):
        # All that is random in an epoch follows from this line, which makes a resumed run equal to an unbroken one.
        seed_all(recipe.seed + 1_000_003 * epoch)
        done, trained = train_epoch(recipe, parts, pictures, state, checkpoints, display)
        started = time.monotonic()
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
                "lr": done.lr,
                "seconds": done.seconds + time.monotonic() - started,
                "images_per_second": len(pictures) / done.seconds,
            }
        )
        value = valid[recipe.metrics[0]]
        best = not state.best_epoch or is_better(value, state.best, parts.higher_is_better)
        if best:
            state.keep_best(value)
        run.write_history(state.rows)
        if _is_due(recipe, epoch * steps):
            checkpoints.write(state)
        else:
            checkpoints.offer(state)
        display.epoch(state.rows[-1], recipe.epochs, best)
        tracking.epoch(state.rows[-1])


def train_epoch(
    recipe: Recipe, parts: Parts, pictures: Pictures, state: State, checkpoints: Checkpoints, display: Display
) -> tuple[Epoch, dict[str, float]]:
    """Take one step a batch, from where the epoch under way stands if one is.

    Returns:
        The epoch, and the mean loss and the metrics of the predictions made on the way.

    Raises:
        TrainingError, RunError: as for `train`.
    """
    state.model.train()
    change = Augmentation(recipe.augment)
    steps = math.ceil(len(pictures) / recipe.batch)
    order = torch.randperm(len(pictures))
    for metric in parts.metrics.values():
        metric.reset()
    if state.epoch:
        epoch = state.epoch
        _go_on(epoch, parts)
    else:
        lr = float(state.schedule.get_last_lr()[0])
        epoch = state.epoch = Epoch(lr=lr, losses=torch.zeros(steps, device=parts.device))
    started = time.monotonic() - epoch.seconds
    for images, target in pictures.batches(recipe.batch, parts.device, order[epoch.step * recipe.batch :]):
        images, target = change(images, target)
        loss, logits = take_step(parts, state, recipe.precision, images, target)
        epoch.losses[epoch.step] = loss
        epoch.step += 1
        for metric in parts.metrics.values():
            metric.update(logits, target)
        display.training(recipe.label, len(state.rows) + 1, recipe.epochs, epoch.step, steps)
        if epoch.step < steps and _is_due(recipe, len(state.rows) * steps + epoch.step):
            check_finite(recipe, state, checkpoints)
            epoch.seconds = time.monotonic() - started
            epoch.metrics = {name: dict(_buffers(metric)) for name, metric in parts.metrics.items()}
            epoch.random = random_state(parts.device)
            checkpoints.write(state)
    check_finite(recipe, state, checkpoints)
    epoch.seconds = time.monotonic() - started
    state.epoch = None
    counts = torch.full((steps,), recipe.batch).clamp(max=len(pictures))
    counts[-1] = len(pictures) - recipe.batch * (steps - 1)
    return epoch, {
        "loss": float(epoch.losses.cpu().double() @ counts.double()) / len(pictures),
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
    if parts.clip_grad:
        nn.utils.clip_grad_norm_(state.model.parameters(), parts.clip_grad)
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
    return State(model=parts.model, loss=parts.loss, optimizer=optimizer, schedule=schedule, average=average)


def _is_due(recipe: Recipe, step: int) -> bool:
    return recipe.checkpoint_every is not None and step % recipe.checkpoint_every == 0


def _buffers(metric: SegmentationMetric) -> Mapping[str, Tensor]:
    return dict(cast(nn.Module, metric).named_buffers())


def _go_on(epoch: Epoch, parts: Parts) -> None:
    """Bring metrics and generators to where they were in the midst of an epoch."""
    epoch.losses = epoch.losses.to(parts.device)
    for name, metric in parts.metrics.items():
        for key, buffer in _buffers(metric).items():
            buffer.copy_(epoch.metrics[name][key])
    restore_random_state(epoch.random, parts.device)
