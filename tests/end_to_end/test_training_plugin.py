"""A plugin of three files brings an optimizer, a schedule and an augmentation into everybody's comparison."""

import csv
from pathlib import Path

from segreg.testing import plugins
from segreg.testing.checks import CHECKS
from tests.end_to_end.environment import Environment, build_wheel

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "segreg-lab"
version = "0.1"
dependencies = ["segreg"]

[project.entry-points."segreg.v1"]
lab = "segreg_lab.plugin"

[tool.setuptools]
packages = ["segreg_lab"]
"""
PLUGIN = """
from segreg import Augmentation, Optimizer, Schedule, hookimpl


@hookimpl
def segreg_optimizers():
    yield Optimizer(name="signs", target="segreg_lab.parts:Signs", summary="Steps of equal length", reference="ours")


@hookimpl
def segreg_schedules():
    yield Schedule(name="stairs", target="segreg_lab.parts:Stairs", summary="Falls in equal steps")


@hookimpl
def segreg_augmentations():
    yield Augmentation(name="stretch", target="segreg_lab.parts:Stretch", summary="Stretches images sideways")
"""
PARTS = '''
import torch


class Signs(torch.optim.Optimizer):
    """Moves each weight by the learning rate, against the sign of its gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
    """

    def __init__(self, params, *, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad.sign(), alpha=group["lr"])


class Stairs:
    """The learning rate falls to nearly zero in equal steps.

    Args:
        number: Number of steps.
    """

    def __init__(self, *, number: int = 4) -> None:
        self.number = number

    def __call__(self, step: int, steps: int) -> float:
        return 1 - (step * self.number // steps) / self.number


class Stretch:
    """Stretches images and masks sideways.

    Args:
        limit: Largest factor.
    """

    draws = 1

    def __init__(self, *, limit: float = 1.5) -> None:
        self.limit = limit

    def matrix(self, u, size):
        matrix = torch.eye(3).repeat(len(u), 1, 1)
        matrix[:, 0, 0] = 1 / (1 + (self.limit - 1) * u[:, 0])
        return matrix
'''


def test_three_files_are_certified_and_compared(segreg_wheel: Path, tmp_path: Path) -> None:
    project = tmp_path / "segreg-lab"
    for name, text in (
        ("pyproject.toml", PYPROJECT),
        ("segreg_lab/plugin.py", PLUGIN),
        ("segreg_lab/parts.py", PARTS),
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    environment = Environment.create(tmp_path)
    environment.install(segreg_wheel)
    environment.install(build_wheel(project, "segreg_lab", tmp_path / "wheel"))

    done = environment.segreg("check", "lab", "-q")
    assert done.returncode == 0, done.stdout
    kinds = ("optimizer", "schedule", "augmentation")
    count = len(plugins.CHECKS) + sum(len(CHECKS[kind]) for kind in kinds)
    assert done.stdout.splitlines()[-1] == f"{count} checks: {count} passed"

    words = "compare --models unet:width=4,depth=1 --losses bce --data lesions:size=32,train=8,valid=4,test=4 --size 32"
    axes = ["--optimizers", "adamw", "lab/signs", "--schedules", "onecycle", "lab/stairs:number=3"]
    axes += ["--augments", "hflip", "hflip lab/stretch"]
    done = environment.segreg(*words.split(), *axes, "--epochs", "1", "--out", "study", "-q")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "study" / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["optimizer"], row["schedule"], row["augment"]) for row in rows} == {
        (optimizer, schedule, augment)
        for optimizer in ("adamw", "lab/signs")
        for schedule in ("onecycle", "lab/stairs:number=3")
        for augment in ("hflip", "hflip lab/stretch")
    }
    assert all(float(row["iou_valid_mean"]) >= 0 for row in rows)
