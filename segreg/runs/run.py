"""A run on disk: what was asked for, what happened, and the best weights."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import tomli_w
from safetensors.torch import load_file, save
from torch import Tensor, nn

from segreg.data.decode import Skipped
from segreg.errors import RunError
from segreg.recipe import Recipe, read_recipe
from segreg.runs.model_file import read_model
from segreg.support.files import read_toml, reading, replacing, write_csv, write_text

_RESULTS = ("epoch", "metrics", "classes", "images", "parameters", "seconds", "images_per_second", "device")

Row = Mapping[str, float]
Tensors = Mapping[str, Tensor]


@attrs.frozen
class Run:
    """A directory that holds one run.

    Args:
        path: The directory.
    """

    path: Path = attrs.field(converter=Path)

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked for.

        Raises:
            RunError: the directory holds no run.
        """
        if not (self.path / "recipe.toml").exists():
            raise RunError(f"{self.path} holds no run: it has no recipe.toml")
        return read_recipe(self.path / "recipe.toml")

    @property
    def history(self) -> list[Row]:
        """One row an epoch: the epoch, losses, metrics a split, lr, seconds and images per second.

        Raises:
            RunError: the file is not a history.
        """
        path = self.path / "history.csv"
        if not path.exists():
            return []
        with reading(path, "a history"), path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: its results are the last thing that it writes."""
        return (self.path / "results.json").exists()

    @property
    def results(self) -> dict[str, Any]:
        """The figures of the best weights: metrics a split (None where there is no value), and what the run cost.

        Raises:
            RunError: the run has not come to its end, or the file holds no results.
        """
        if not self.finished:
            raise RunError(f"{self.path} has no results yet: finish it with --resume {self.path}")
        path = self.path / "results.json"
        with reading(path, "results"):
            results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            for name in _RESULTS:
                results[name]
        return results

    @property
    def scores(self) -> dict[str, Tensor]:
        """The state of each metric for each image, as `split/metric/buffer`: [N, ...]."""
        return self._tensors("scores")

    @property
    def samples(self) -> dict[str, Tensor]:
        """A few validation images: `images` uint8 [n, H, W, C], `masks` and `predictions` uint8 [n, H, W]."""
        samples = self._tensors("samples")
        with reading(self.path / "samples.safetensors", "samples"):
            return {**samples, "images": samples["images"].movedim(1, -1)}

    @property
    def made_on(self) -> dict[str, str]:
        """What it was made with and on, by name: system, device, and versions, also of the plugins."""
        tables = read_toml(self.path / "recipe.toml")
        with reading(self.path / "recipe.toml", "the recipe of a run"):
            plugins = {each["plugin"]: each["version"] for each in tables.get("component", [])}
            made_on = {**dict(tables.get("platform", {})), **plugins}
        return {str(name): str(value) for name, value in made_on.items()}

    def model(self) -> nn.Module:
        """Rebuild the model with its best weights, in evaluation mode, from `model.safetensors` alone.

        It takes images in [0, 1] and normalises them itself, as in training. The file may come from anybody: it names
        a component of the registry, and nothing is built before its shapes were found to be those of the weights.

        Shapes:
            the model's images: float [B, C, H, W];  its logits: float [B, K, H, W].

        Raises:
            RunError: there are no weights yet, or the file is not one of segreg's, or the model is no longer the same.
            PluginError: the plugin that the model came from is not installed, or broken.
        """
        return read_model(self.path / "model.safetensors")[0]

    def _tensors(self, name: str) -> dict[str, Tensor]:
        path = self.path / f"{name}.safetensors"
        with reading(path, "a file of tensors"):
            return load_file(path)

    def write_recipe(self, recipe: Recipe, resolved: Mapping[str, Any]) -> None:
        """Write the recipe, and below it what its names stood for on the day."""
        write_text(self.path / "recipe.toml", tomli_w.dumps({"recipe": recipe.to_dict(), **resolved}))

    def write_history(self, rows: Sequence[Row]) -> None:
        """Write all epochs so far."""
        figures = [[f"{row[name]:.6g}" for name in rows[0]] for row in rows]
        write_csv(self.path / "history.csv", list(rows[0]), figures)

    def write_splits(self, names: Mapping[str, Sequence[str]]) -> None:
        """Write which image is in which split."""
        rows = [(split, name) for split, members in names.items() for name in members]
        write_csv(self.path / "splits.csv", ("split", "name"), rows)

    def write_skipped(self, skipped: Sequence[Skipped]) -> None:
        """Write which images were left out, and why; no file where none were."""
        path = self.path / "skipped.csv"
        if not skipped:
            path.unlink(missing_ok=True)
            return
        write_csv(path, ("split", "name", "reason"), [(each.split, each.name, each.reason) for each in skipped])

    def write_model(self, weights: Tensors, about: Mapping[str, Any]) -> None:
        """Write the best weights so far, with all that it takes to rebuild the model."""
        self.write_tensors("model", weights, {"segreg": json.dumps(about)})

    def write_tensors(self, name: str, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
        """Write tensors as `name.safetensors`."""
        with replacing(self.path / f"{name}.safetensors") as aside:
            # safetensors' own `save_file` leaves a file that nobody else may read.
            aside.write_bytes(save({key: tensor.contiguous() for key, tensor in tensors.items()}, metadata))

    def write_samples(self, samples: Tensors) -> None:
        """Write images, masks and predictions as `samples` gives them; images lie in the file as [n, C, H, W]."""
        self.write_tensors("samples", {**samples, "images": samples["images"].movedim(-1, 1)})

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write the results, which makes the run a finished one."""
        write_text(self.path / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
