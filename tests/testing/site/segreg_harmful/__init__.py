"""Components that pass for sound ones at first sight, and would spoil a run: several for each kind of harm."""

import ast
from collections.abc import Iterable
from pathlib import Path

from segreg import Architecture, Augmentation, Dataset, Loss, Metric, Optimizer, Schedule, Tracker, hookimpl

_COMMON = {"summary": "", "reference": "ours"}


def _classes(kind: str) -> list[str]:
    """The public classes of a file, without importing it."""
    tree = ast.parse((Path(__file__).parent / f"{kind}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def component_name(class_name: str) -> str:
    """`counts-calls` of `CountsCalls`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in class_name)[1:]


class Documented:
    """Documents the options of its subclasses as those above them do, so that nothing but the harm is found."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        above = next(base.__doc__ for base in cls.__mro__[1:] if base.__doc__ and "Args:" in base.__doc__)
        cls.__doc__ = f"{cls.__doc__}\n\nArgs:{above.partition('Args:')[2]}"


def _about(kind: str) -> list[dict[str, str]]:
    return [
        {"name": component_name(name), "target": f"segreg_harmful.{kind}:{name}", **_COMMON} for name in _classes(kind)
    ]


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    return [Architecture(**each, min_size=4) for each in _about("architectures")]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    return [Loss(**each) for each in _about("losses")]


@hookimpl
def segreg_metrics() -> Iterable[Metric]:
    return [Metric(**each, higher_is_better=False) for each in _about("metrics")]


@hookimpl
def segreg_datasets() -> Iterable[Dataset]:
    return [Dataset(**each) for each in _about("datasets")]


@hookimpl
def segreg_augmentations() -> Iterable[Augmentation]:
    return [Augmentation(**each) for each in _about("augmentations")]


@hookimpl
def segreg_optimizers() -> Iterable[Optimizer]:
    return [Optimizer(**each) for each in _about("optimizers")]


@hookimpl
def segreg_schedules() -> Iterable[Schedule]:
    return [Schedule(**each) for each in _about("schedules")]


@hookimpl
def segreg_trackers() -> Iterable[Tracker]:
    return [Tracker(**each) for each in _about("trackers")]
