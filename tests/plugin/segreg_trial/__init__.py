"""A plugin as a third party would write it, with what the tests need: a tiny model, easy images, and failures."""

from collections.abc import Iterable

from segreg import Architecture, Dataset, Loss, Metric, Optimizer, Tracker, hookimpl


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    return [
        Architecture(name="dot", target="segreg_trial.parts:Dot", summary="One 1×1 convolution", min_size=1),
        Architecture(
            name="hungry", target="segreg_trial.parts:Hungry", summary="Wants all memory for a large batch", min_size=1
        ),
        Architecture(name="inward", target="segreg_trial.parts:Inward", summary="Asks for values", min_size=1),
        Architecture(name="rounding", target="segreg_trial.parts:Rounding", summary="Divides below zero", min_size=4),
        Architecture(name="demanding", target="segreg_trial.parts:Demanding", summary="Has an option without default"),
        Architecture(name="dropping", target="segreg_trial.parts:Dropping", summary="Drops features", min_size=1),
        Architecture(name="valued", target="segreg_trial.parts:Valued", summary="Reads its weights", min_size=1),
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    return [
        Loss(name="fragile", target="segreg_trial.parts:Fragile", summary="BCE that a test can break at any step"),
        Loss(name="noisy", target="segreg_trial.parts:Noisy", summary="Draws from NumPy and Python, and counts"),
        Loss(name="broken", target="segreg_trial.parts:Broken", summary="Raises"),
        Loss(name="nan", target="segreg_trial.parts:NaN", summary="BCE, then not a number"),
        Loss(name="per-image", target="segreg_trial.parts:PerImage", summary="Forgets the mean"),
        Loss(name="wide", target="segreg_trial.parts:Wide", summary="BCE of large images"),
    ]


@hookimpl
def segreg_metrics() -> Iterable[Metric]:
    return [
        Metric(
            name="mistakes",
            target="segreg_trial.parts:Mistakes",
            summary="Share of pixels that are wrong",
            higher_is_better=False,
        )
    ]


@hookimpl
def segreg_datasets() -> Iterable[Dataset]:
    return [Dataset(name="bands", target="segreg_trial.parts:Bands", summary="A band of light for each class")]


@hookimpl
def segreg_optimizers() -> Iterable[Optimizer]:
    return [Optimizer(name="rateless", target="segreg_trial.parts:Rateless", summary="Has no learning rate to set")]


@hookimpl
def segreg_trackers() -> Iterable[Tracker]:
    return [Tracker(name="diary", target="segreg_trial.parts:Diary", summary="Logs the calls that it receives")]
