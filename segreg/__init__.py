"""segreg: segmentation models, losses, metrics and data sets by name, from any installed plugin.

    model = segreg.build("unet", pool="conv")
    study = segreg.compare(models=["segnet", "unet"], losses=["bce", "dice"], data="ph2:root=PH2Dataset")

The names below are imported when they are first used: `import segreg` alone loads neither torch nor NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segreg.deployment.export import Exported, export
    from segreg.errors import (
        DataError,
        ExpressionError,
        OptionError,
        PluginError,
        RunError,
        SegregError,
        TrainingError,
        UnknownNameError,
    )
    from segreg.evaluation.evaluate import evaluate
    from segreg.evaluation.result import Evaluation
    from segreg.hooks import hookimpl
    from segreg.prediction.predictor import Predictor, load
    from segreg.recipe import Recipe
    from segreg.registry import Registry, build, components, dataset, describe, loss, metric
    from segreg.runs.run import Run
    from segreg.specs import Architecture, Dataset, Loss, Metric, Tracker
    from segreg.studies.study import Study, compare
    from segreg.training.fit import fit

_HOME = {
    "segreg.errors": (
        "DataError",
        "ExpressionError",
        "OptionError",
        "PluginError",
        "RunError",
        "SegregError",
        "TrainingError",
        "UnknownNameError",
    ),
    "segreg.hooks": ("hookimpl",),
    "segreg.evaluation.evaluate": ("evaluate",),
    "segreg.evaluation.result": ("Evaluation",),
    "segreg.deployment.export": ("Exported", "export"),
    "segreg.prediction.predictor": ("Predictor", "load"),
    "segreg.registry": ("Registry", "build", "components", "dataset", "describe", "loss", "metric"),
    "segreg.specs": ("Architecture", "Dataset", "Loss", "Metric", "Tracker"),
    "segreg.studies.study": ("Study", "compare"),
    "segreg.training.fit": ("fit",),
    "segreg.recipe": ("Recipe",),
    "segreg.runs.run": ("Run",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Architecture",
    "DataError",
    "Dataset",
    "Evaluation",
    "Exported",
    "ExpressionError",
    "Loss",
    "Metric",
    "OptionError",
    "PluginError",
    "Predictor",
    "Recipe",
    "Registry",
    "Run",
    "RunError",
    "SegregError",
    "Study",
    "Tracker",
    "TrainingError",
    "UnknownNameError",
    "build",
    "compare",
    "components",
    "dataset",
    "describe",
    "evaluate",
    "export",
    "fit",
    "hookimpl",
    "load",
    "loss",
    "metric",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'segreg' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
