"""segreg: segmentation models, losses, metrics and datasets by name, from any installed plugin.

    model = segreg.build("unet", pool="conv")
    study = segreg.compare(models=["segnet", "unet"], losses=["bce", "dice"], data="ph2:root=PH2Dataset")

The names below are imported when they are first used: `import segreg` alone loads neither torch nor NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segreg.deployment.export import Exported as Exported
    from segreg.deployment.export import export as export
    from segreg.errors import DataError as DataError
    from segreg.errors import ExpressionError as ExpressionError
    from segreg.errors import OptionError as OptionError
    from segreg.errors import PluginError as PluginError
    from segreg.errors import RunError as RunError
    from segreg.errors import SegregError as SegregError
    from segreg.errors import TrainingError as TrainingError
    from segreg.errors import UnknownNameError as UnknownNameError
    from segreg.evaluation.evaluate import evaluate as evaluate
    from segreg.evaluation.result import Evaluation as Evaluation
    from segreg.hooks import hookimpl as hookimpl
    from segreg.prediction.predictor import Predictor as Predictor
    from segreg.prediction.predictor import load as load
    from segreg.recipe import Recipe as Recipe
    from segreg.registry import Registry as Registry
    from segreg.registry import augmentation as augmentation
    from segreg.registry import build as build
    from segreg.registry import components as components
    from segreg.registry import dataset as dataset
    from segreg.registry import describe as describe
    from segreg.registry import loss as loss
    from segreg.registry import metric as metric
    from segreg.registry import optimizer as optimizer
    from segreg.registry import schedule as schedule
    from segreg.runs.run import Run as Run
    from segreg.specs import Architecture as Architecture
    from segreg.specs import Augmentation as Augmentation
    from segreg.specs import Dataset as Dataset
    from segreg.specs import Loss as Loss
    from segreg.specs import Metric as Metric
    from segreg.specs import Optimizer as Optimizer
    from segreg.specs import Schedule as Schedule
    from segreg.specs import Tracker as Tracker
    from segreg.studies.compare import compare as compare
    from segreg.studies.study import Study as Study
    from segreg.training.fit import fit as fit

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
    "segreg.registry": (
        "Registry",
        "augmentation",
        "build",
        "components",
        "dataset",
        "describe",
        "loss",
        "metric",
        "optimizer",
        "schedule",
    ),
    "segreg.specs": ("Architecture", "Augmentation", "Dataset", "Loss", "Metric", "Optimizer", "Schedule", "Tracker"),
    "segreg.studies.compare": ("compare",),
    "segreg.studies.study": ("Study",),
    "segreg.training.fit": ("fit",),
    "segreg.recipe": ("Recipe",),
    "segreg.runs.run": ("Run",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'segreg' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
