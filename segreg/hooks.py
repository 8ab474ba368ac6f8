"""The whole plugin interface: one hook per kind of component, which takes no arguments and returns records.

A plugin module defines any of them, marked with `@hookimpl`, and is named by an entry point in the group `segreg.v1`.
The entry point's name becomes the namespace of the plugin's components.
"""

from collections.abc import Iterable

import pluggy

from segreg.specs import Architecture, Augmentation, Dataset, Loss, Metric, Optimizer, Schedule, Tracker

GROUP = "segreg.v1"

hookspec = pluggy.HookspecMarker("segreg")
hookimpl = pluggy.HookimplMarker("segreg")


@hookspec
def segreg_architectures() -> Iterable[Architecture]:
    """Declare models."""
    return ()


@hookspec
def segreg_losses() -> Iterable[Loss]:
    """Declare losses."""
    return ()


@hookspec
def segreg_metrics() -> Iterable[Metric]:
    """Declare metrics."""
    return ()


@hookspec
def segreg_datasets() -> Iterable[Dataset]:
    """Declare datasets."""
    return ()


@hookspec
def segreg_augmentations() -> Iterable[Augmentation]:
    """Declare augmentations."""
    return ()


@hookspec
def segreg_optimizers() -> Iterable[Optimizer]:
    """Declare optimizers."""
    return ()


@hookspec
def segreg_schedules() -> Iterable[Schedule]:
    """Declare schedules."""
    return ()


@hookspec
def segreg_trackers() -> Iterable[Tracker]:
    """Declare trackers."""
    return ()
