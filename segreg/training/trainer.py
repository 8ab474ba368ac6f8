"""Training: from the first step to the last epoch."""

import math
import time
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn

from segreg.contracts import SegmentationMetric
from segreg.data.split import Data
from segreg.errors import OptionError, counted
from segreg.nn.ema import EMA
from segreg.nn.normalized import Normalized
from segreg.recipe import Recipe
from segreg.registry import higher_is_better
from segreg.resolved import build_sum
from segreg.runs.history import epoch_record, scores_of
from segreg.runs.model_file import about_model
from segreg.runs.provenance import provenance_of, resolved
from segreg.runs.run import Run
from segreg.scoring.evaluator import Evaluator, evaluation_batch, is_better
from segreg.scoring.metric_states import buffers_of
from segreg.support import device as devices
from segreg.support.files import writing
from segreg.support.progress import Display
from segreg.support.randomness import random_state, restore_random_state, seed_all
from segreg.training.augmenter import Augmenter
from segreg.training.checkpoint import Checkpoints, best_epoch_on_disk, restore_from
from segreg.training.early_stopping import stopped_early
from segreg.training.finite import check_finite
from segreg.training.initial_weights import InitialWeights, random_and_frozen
from segreg.training.learning_rate import LearningRate
from segreg.training.notes import notes
from segreg.training.oversampler import Oversampler
from segreg.training.parts import build_optimizer, fault_of, freeze
from segreg.training.state import Epoch, State
from segreg.training.tracking import Tracking


class Trainer:
    """Trains the model of a recipe on one device, and owns model, loss, metrics, optimizer and schedule.

    Args:
        recipe: What to train.
        data: The splits, at the training size.
        device: Device to train on.
        display: Shows the progress; by default nothing is shown.
        initial: Weights to begin with.

    Raises:
        OptionError: the initial weights are of another architecture, or the model lacks a part that the recipe names.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        device: torch.device,
        display: Display | None = None,
        initial: InitialWeights | None = None,
    ) -> None:
        self.recipe, self.data, self.device = recipe, data, device
        self.display = display or Display(quiet=True)
        self._initial = initial.record if initial else None
        self.steps = math.ceil(len(data.splits["train"]) / recipe.images_per_step)
        self.checkpoints: Checkpoints | None = None
        seed_all(recipe.seed)
        [architecture] = recipe.components["architecture"]
        self.about = about_model(recipe, data)
        built = architecture.build(**data.facts)
        model = Normalized(built, self.about.normalize, self.about.moments).to(device).train()
        if fault := fault_of(model.model, recipe):
            raise OptionError(fault)
        if initial:
            initial.load_into(model.model, self.display)
        self.frozen = freeze(model.model, recipe.freeze)
        self._random_and_frozen = random_and_frozen(recipe, model.model, initial)
        loss = build_sum(recipe.components["loss"], **data.facts).to(device)
        self.metrics: Mapping[str, SegmentationMetric] = {
            str(metric.expression): metric.build(**data.facts).to(device) for metric in recipe.components["metric"]
        }
        self.evaluator = Evaluator(
            task=data.task,
            metrics=self.metrics,
            batch=evaluation_batch(recipe.batch),
            device=device,
            precision=recipe.precision,
        )
        [self._optimizer] = recipe.components["optimizer"]
        optimizer = build_optimizer(self._optimizer, model.model, recipe)
        ema = EMA(model) if recipe.ema else None
        self.state = State(model=model, loss=loss, optimizer=optimizer, ema=ema)
        [schedule] = recipe.components["schedule"]
        self.learning_rate = LearningRate(schedule, optimizer, recipe.epochs * self.steps)
        self.oversampler = Oversampler(data, recipe.oversample, recipe.seed)
        self.augmenter = Augmenter([each.build() for each in recipe.components["augmentation"]], recipe.seed)

    def fit(self, run: Run, tracking: Tracking, *, force: bool = False) -> None:
        """Train to the last epoch, from the checkpoint that the run has on disk or else from the beginning.

        Whatever ends the training early, the best weights so far are written.

        Args:
            run: The run to write.
            tracking: The trackers to notify.
            force: Resume even if the recipe, a plugin, torch or the device has changed.

        Raises:
            TrainingError: a loss or the weights are no longer finite.
            RunError: a file cannot be written, or the run cannot be resumed from its checkpoint.
            OptionError: the run has already completed more epochs than the recipe has.
        """
        recipe, state, train = self.recipe, self.state, self.data.splits["train"]
        checkpoints = self.checkpoints = self._begin(run, tracking, force)
        higher = higher_is_better(recipe.metrics[0])
        try:
            while len(state.history) < recipe.epochs and not stopped_early(recipe, state):
                epoch = len(state.history) + 1
                # All randomness of an epoch follows from this line, so that a resumed run equals an uninterrupted one.
                seed_all(recipe.seed + 1_000_003 * epoch)
                done, trained = self.train_epoch()
                started = time.monotonic()
                valid = self.validate()
                state.history.append(
                    epoch_record(
                        epoch,
                        {"train": trained, "valid": valid},
                        lr=done.lr,
                        seconds=done.seconds + time.monotonic() - started,
                        images_per_second=len(train) / done.seconds,
                    )
                )
                best = not state.best_epoch or is_better(valid[recipe.metrics[0]], state.best, higher)
                if best:
                    state.keep_best(valid[recipe.metrics[0]])
                run.write_history(state.history)
                if self._is_due():
                    checkpoints.write(state)
                else:
                    checkpoints.offer(state)
                record = state.history[-1]
                self.display.epoch(epoch, recipe.epochs, scores_of(record), record["images_per_second"], best)
                tracking.epoch(record)
        finally:
            checkpoints.write_best(state)
        if checkpoints.last != state.position:
            checkpoints.write(state)
        if stopped_early(recipe, state):
            name, epochs = recipe.metrics[0], counted(state.epochs_since_best, "epoch")
            self.display.line(f"stopped early: {name} on valid has not improved for {epochs}")

    def train_epoch(self) -> tuple[Epoch, dict[str, float]]:
        """Train for one epoch, continuing the one in progress if there is one.

        Returns:
            The epoch, and the mean loss and the metrics of the predictions made during it.

        Raises:
            TrainingError, RunError: as for `fit`.
        """
        recipe, state, steps, train = self.recipe, self.state, self.steps, self.data.splits["train"]
        state.model.train()
        for module in self.frozen:
            module.eval()
        order = self.oversampler.replaced(torch.randperm(len(train)), len(state.history) + 1)
        uniforms = self.augmenter.uniforms(len(state.history) + 1, len(train))
        for metric in self.metrics.values():
            metric.reset()
        if state.epoch:
            epoch = state.epoch
            self._restore_midway(epoch)
        else:
            lr = self.learning_rate.at(state.steps_done(steps))
            epoch = state.epoch = Epoch(lr=lr, losses=torch.zeros(steps, device=self.device))
        counts = [recipe.images_per_step] * (steps - 1) + [len(train) - recipe.images_per_step * (steps - 1)]
        started = time.monotonic() - epoch.seconds
        done = epoch.step * recipe.images_per_step
        for images, target in train.batches(recipe.batch, self.device, order[done:]):
            images, target = self.augmenter(images, target, uniforms[done : done + len(images)])
            share = len(images) / counts[epoch.step]
            loss, logits = self.add_gradients(images, target, share)
            epoch.losses[epoch.step].add_(loss, alpha=share)
            done += len(images)
            for metric in self.metrics.values():
                metric.update(logits, target)
            if done < epoch.step * recipe.images_per_step + counts[epoch.step]:
                continue
            self.update_weights()
            epoch.step += 1
            self.display.training(recipe.label, len(state.history) + 1, recipe.epochs, epoch.step, steps)
            if self.checkpoints and epoch.step < steps and self._is_due():
                check_finite(recipe, state, self.checkpoints)
                epoch.seconds = time.monotonic() - started
                self._record_midway(epoch)
                self.checkpoints.write(state)
        check_finite(recipe, state, self.checkpoints)
        epoch.seconds = time.monotonic() - started
        state.epoch = None
        return epoch, {
            "loss": float(epoch.losses.cpu().double() @ torch.tensor(counts).double()) / len(train),
            **{name: metric.compute() for name, metric in self.metrics.items()},
        }

    def step(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights once; return the loss and the logits before the update. Nothing waits for the device.

        Shapes:
            images: float [B, C, H, W] in [0, 1];  target: int64 [B, H, W];  returns: float [], float [B, K, H, W].
        """
        loss, logits = self.add_gradients(images, target)
        self.update_weights()
        return loss, logits

    def add_gradients(self, images: Tensor, target: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Add the gradients of a batch to those of the step; return its loss and its logits.

        Args:
            images: The images of the batch.
            target: Their masks.
            share: Share of the step's images that are in the batch, by which its gradients are weighted.

        Shapes:
            as for `step`.
        """
        with devices.autocast(self.device, self.recipe.precision):
            logits: Tensor = self.state.model(images)
        loss: Tensor = self.state.loss(logits, target)
        # Of a loss that is not a scalar this is refused, as without a weight.
        loss.backward(loss.new_full((), share))  # type: ignore[no-untyped-call]
        return loss.detach(), logits.detach()

    def update_weights(self) -> None:
        """Take the step of the optimizer whose gradients have been added."""
        state = self.state
        if self.recipe.clip_grad:
            nn.utils.clip_grad_norm_(state.model.parameters(), self.recipe.clip_grad)
        self.learning_rate.set(state.steps_done(self.steps))
        state.optimizer.step()
        state.optimizer.zero_grad()
        if state.ema:
            state.ema.update(state.model)

    def validate(self) -> dict[str, float]:
        """Return the loss and the metrics on the validation split."""
        valid = self.data.splits["valid"].batches(self.evaluator.batch, self.device)
        return self.evaluator.evaluate(self.state.evaluated, self.state.loss, valid)

    def _begin(self, run: Run, tracking: Tracking, force: bool) -> Checkpoints:
        """Restore the run's checkpoint if it has one, and write what is known before the first step."""
        recipe, data, state = self.recipe, self.data, self.state
        tables = resolved(recipe, data, self.device, state.loss)
        if recipe.init:
            tables["init"] = self._initial or run.initial_weights
        provenance = provenance_of(recipe, tables, data)
        changed = restore_from(run, state, provenance, self._optimizer.build, epoch=self._epoch_as_saved(), force=force)
        resumed = changed is not None
        self.display.line(f"{recipe.label} on {devices.device_name(self.device)}, into {run.path}")
        for note in notes(recipe, data, self.about, state.model.model, state.loss):
            self.display.note(note)
        if self._random_and_frozen and not resumed:
            self.display.note(self._random_and_frozen)
        if resumed:
            self.display.line(f"resuming after {state.position}")
        with writing(run.path):
            # Before the recipe: a finished run that gets more epochs is no longer finished.
            (run.path / "results.json").unlink(missing_ok=True)
            # Before anything else: a directory is recognized as a run by its recipe.
            run.write_recipe(recipe, tables)
            (run.path / "checkpoint").mkdir(exist_ok=True)
        run.write_splits({name: split.names for name, split in data.splits.items()})
        run.write_skipped(data.skipped)
        tracking.begin(run, recipe, state.history)
        return Checkpoints(
            run,
            about=attrs.asdict(self.about),
            provenance=provenance,
            ahead=best_epoch_on_disk(run) if resumed and not changed else 0,
            last=state.position if resumed else "",
        )

    def _is_due(self) -> bool:
        """Whether `checkpoint_every` asks for a checkpoint after this step."""
        every = self.recipe.checkpoint_every
        return every is not None and self.state.steps_done(self.steps) % every == 0

    def _record_midway(self, epoch: Epoch) -> None:
        """Store the states of metrics and generators, which matter only within an epoch."""
        epoch.metrics = {name: buffers_of(metric) for name, metric in self.metrics.items()}
        epoch.random = random_state(self.device)

    def _epoch_as_saved(self) -> Epoch:
        """Return an epoch as a checkpoint within it holds it."""
        epoch = Epoch(lr=0.0, losses=torch.zeros(self.steps))
        self._record_midway(epoch)
        return epoch

    def _restore_midway(self, epoch: Epoch) -> None:
        """Restore the states of metrics and generators."""
        epoch.losses = epoch.losses.to(self.device)
        for name, metric in self.metrics.items():
            for key, buffer in buffers_of(metric).items():
                buffer.copy_(epoch.metrics[name][key])
        restore_random_state(epoch.random, self.device)
