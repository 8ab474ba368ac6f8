"""A run on disk: its recipe, its history, its results and the best weights."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import tomli_w
import torch
from torch import Tensor, nn

from segreg.data.decode import Skipped
from segreg.errors import RunError
from segreg.recipe import Recipe, read_recipe
from segreg.runs.history import EpochRecord, read_history, write_history
from segreg.runs.model_file import read_model
from segreg.runs.results_file import Results, read_results_file, write_results_file
from segreg.runs.tensor_file import Tensors, read_tensors, write_tensors
from segreg.support.files import read_toml, reading, write_csv, write_text

SAMPLES = 4
"""The maximum number of images in `samples.safetensors`."""


@attrs.frozen
class Run:
    """A directory that contains one run.

    Args:
        path: The directory.
    """

    path: Path = attrs.field(converter=Path)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe.

        Raises:
            RunError: the directory contains no run.
        """
        if not (self.path / "recipe.toml").exists():
            raise RunError(f"{self.path} holds no run: it has no recipe.toml")
        return read_recipe(self.path / "recipe.toml")

    @property
    def history(self) -> list[EpochRecord]:
        """One row per epoch: the epoch, losses, metrics per split, lr, seconds and images per second.

        Raises:
            RunError: the file is not a history.
        """
        path = self.path / "history.csv"
        return read_history(path, self.recipe.metrics) if path.exists() else []

    @property
    def finished(self) -> bool:
        """Whether the run is finished: its results are the last file that it writes."""
        return (self.path / "results.json").exists()

    @property
    def results(self) -> Results:
        """The results of the best weights: metrics per split (None where there is no value), and the cost of the run.

        Raises:
            RunError: the run is not finished, or the file contains no results of such a run.
        """
        if not self.finished:
            raise RunError(f"{self.path} has no results yet: finish it with --resume {self.path}")
        return read_results_file(self.path / "results.json", self.recipe.metrics)

    @property
    def scores(self) -> dict[str, Tensor]:
        """The state of each metric for each image, as `split/metric/buffer`: [N, ...].

        Raises:
            RunError: the file is damaged, or does not contain tensors.
        """
        return read_tensors(self.scores_path, "the scores of a run")[0]

    @property
    def scores_path(self) -> Path:
        """The file of `scores`."""
        return self.path / "scores.safetensors"

    @property
    def own_size_scores(self) -> dict[str, Tensor]:
        """As `scores`, at the size of each mask. Only a study whose configurations differ in size writes them.

        Raises:
            RunError: the file is missing or damaged, or does not contain tensors.
        """
        return read_tensors(self.own_size_scores_path, "the scores of a run")[0]

    @property
    def own_size_scores_path(self) -> Path:
        """The file of `own_size_scores`."""
        return self.path / "scores-own-size.safetensors"

    @property
    def samples(self) -> dict[str, Tensor]:
        """A few validation images: `images` uint8 [n, H, W, C], `masks` and `predictions` uint8 [n, H, W].

        Raises:
            RunError: the file is damaged, or does not contain such samples at the size of the run.
        """
        path = self.path / "samples.safetensors"
        samples, _ = read_tensors(path, "the samples of a run")
        with reading(path, "the samples of a run"):
            images = samples["images"]
            shape = (len(images), *self.recipe.size)
            forms = [(samples[name].dtype, samples[name].shape) for name in ("masks", "predictions")]
            if len(images) > SAMPLES or (images.dtype, *images.shape[::2], images.shape[3]) != (torch.uint8, *shape):
                raise ValueError(f"its images are {images.dtype} {list(images.shape)}")
            if forms != [(torch.uint8, torch.Size(shape))] * 2:
                raise ValueError("its masks and predictions do not have the form of its images")
        return {**samples, "images": images.movedim(1, -1)}

    @property
    def environment(self) -> dict[str, str]:
        """The environment that it was trained in, by name: system, device, and versions, including the plugins'."""
        tables = read_toml(self.path / "recipe.toml")
        with reading(self.path / "recipe.toml", "the recipe of a run"):
            plugins = {each["plugin"]: each["version"] for each in tables.get("component", [])}
            environment = {**dict(tables.get("platform", {})), **plugins}
        return {str(name): str(value) for name, value in environment.items()}

    @property
    def initial_weights(self) -> dict[str, str]:
        """The weights that it began with: `source`, a run or a file, and `digest`; empty if it began without.

        Raises:
            RunError: the file was not written by segreg.
        """
        tables = read_toml(self.path / "recipe.toml")
        with reading(self.path / "recipe.toml", "the recipe of a run"):
            return {str(name): str(value) for name, value in dict(tables.get("init", {})).items()}

    def model(self) -> nn.Module:
        """Rebuild the model with its best weights, in evaluation mode, from `model.safetensors` alone.

        It takes images in [0, 1] and normalises them itself, as in training. The file may come from anyone: it names a
        component of the registry, and nothing is built before its shapes are known to match the weights.

        Shapes:
            the model's images: float [B, C, H, W];  its logits: float [B, K, H, W].

        Raises:
            RunError: there are no weights yet, the file was not saved by segreg, or the model is no longer the same.
            PluginError: the plugin that the model came from is not installed, or broken.
        """
        return read_model(self.path / "model.safetensors")[0]

    def write_recipe(self, recipe: Recipe, resolved: Mapping[str, Any]) -> None:
        """Write the recipe, and below it what its names resolved to."""
        write_text(self.path / "recipe.toml", tomli_w.dumps({"recipe": recipe.to_dict(), **resolved}))

    def write_history(self, history: Sequence[EpochRecord]) -> None:
        """Write all epochs so far."""
        write_history(self.path / "history.csv", history)

    def write_splits(self, names: Mapping[str, Sequence[str]]) -> None:
        """Write which image is in which split."""
        rows = [(split, name) for split, members in names.items() for name in members]
        write_csv(self.path / "splits.csv", ("split", "name"), rows)

    def write_skipped(self, skipped: Sequence[Skipped]) -> None:
        """Write which images were left out, and why; no file if none were."""
        path = self.path / "skipped.csv"
        if not skipped:
            path.unlink(missing_ok=True)
            return
        write_csv(path, ("split", "name", "reason"), [(each.split, each.name, each.reason) for each in skipped])

    def write_model(self, weights: Tensors, about: Mapping[str, Any]) -> None:
        """Write the best weights so far, with everything needed to rebuild the model."""
        write_tensors(self.path / "model.safetensors", weights, about)

    def write_scores(self, scores: Tensors) -> None:
        """Write the states of the metrics as returned by `scores`."""
        write_tensors(self.scores_path, scores)

    def write_own_size_scores(self, scores: Tensors, about: Mapping[str, Any]) -> None:
        """Write the states of the metrics at the size of each mask, and what they were computed from."""
        write_tensors(self.own_size_scores_path, scores, about)

    def write_samples(self, samples: Tensors) -> None:
        """Write images, masks and predictions as returned by `samples`; the file stores images as [n, C, H, W]."""
        write_tensors(self.path / "samples.safetensors", {**samples, "images": samples["images"].movedim(-1, 1)})

    def write_results(self, results: Results) -> None:
        """Write the results, which marks the run as finished."""
        write_results_file(self.path / "results.json", results)
