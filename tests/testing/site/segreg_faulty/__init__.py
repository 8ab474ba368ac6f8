"""One failing component for each check of the conformance kit, named after the check."""

from collections.abc import Iterable

from segreg import Architecture, Augmentation, Dataset, Loss, Metric, Optimizer, Schedule, Tracker, hookimpl

HERE = "segreg_faulty"


def _class_name(check: str) -> str:
    return "".join(word.capitalize() for word in check.split("-"))


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    names = [
        "sound",
        "options-are-documented",
        "defaults-are-of-their-types",
        "unknown-options-are-refused",
        "any-channels-and-classes",
        "any-size",
        "batch-of-one",
        "evaluation-is-deterministic",
        "images-of-a-batch-are-independent",
        "images-are-not-modified",
        "every-parameter-learns",
        "logits-are-not-activated",
        "weights-survive-a-file",
        "copies-are-separate",
        "channels-last-agrees",
        "bfloat16-agrees",
        "predicts-as-it-was-trained",
        "runs-without-values",
        "can-be-exported",
        "can-be-compiled",
    ]
    target = f"{HERE}.architectures:"
    return [
        *(
            Architecture(name=name, target=target + _class_name(name), summary="", min_size=4, reference="ours")
            for name in names
        ),
        Architecture(name="target-is-found", target=target + "Nowhere", summary="", min_size=4, reference="ours"),
        Architecture(name="initially", target=target + "Sound", summary="", pretrained_options=("in_chanels",)),
        Architecture(name="exits", target=target + "Exits", summary="", min_size=4, reference="ours"),
        Architecture(name="has-a-reference", target=target + "Sound", summary="", min_size=4),
        Architecture(
            name="excused",
            target=target + "EveryParameterLearns",
            summary="",
            min_size=4,
            reference="ours",
            known_failures={
                "every-parameter-learns": "one layer is dead",
                "batch-of-one": "it should not",
            },
        ),
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    names = [
        "is-a-scalar-with-a-gradient",
        "extremes-stay-finite",
        "ignored-pixels-have-no-influence",
        "nothing-but-ignored-is-finite",
        "right-beats-wrong",
        "order-of-the-batch-does-not-matter",
        "gradient-is-the-slope",
        "input-is-not-modified",
        "runs-without-values",
    ]
    return [
        Loss(name=name, target=f"{HERE}.losses:{_class_name(name)}", summary="", reference="ours") for name in names
    ]


@hookimpl
def segreg_metrics() -> Iterable[Metric]:
    names = [
        "batches-do-not-matter",
        "states-add-up",
        "reset-forgets",
        "nothing-is-nan",
        "ignored-pixels-have-no-influence",
        "right-beats-wrong",
        "agrees-with-its-definition",
        "update-does-not-wait",
    ]
    return [
        Metric(
            name=name,
            target=f"{HERE}.metrics:{_class_name(name)}",
            summary="",
            reference="ours",
            higher_is_better=name == "right-beats-wrong",
            definition="accuracy" if name == "agrees-with-its-definition" else "",
        )
        for name in names
    ]


@hookimpl
def segreg_datasets() -> Iterable[Dataset]:
    names = [
        "has-classes-and-splits",
        "samples-have-their-form",
        "masks-name-classes",
        "access-is-repeatable",
        "splits-end",
        "splits-are-disjoint",
        "splits-go-to-workers",
    ]
    return [Dataset(name=name, target=f"{HERE}.datasets:{_class_name(name)}", summary="") for name in names]


@hookimpl
def segreg_augmentations() -> Iterable[Augmentation]:
    names = [
        "has-one-of-three-methods",
        "results-have-their-form",
        "values-stay-in-range",
        "any-channels",
        "something-changes",
        "images-of-a-batch-are-independent",
        "randomness-follows-from-what-it-is-given",
        "input-is-not-modified",
        "runs-without-values",
    ]
    return [Augmentation(name=name, target=f"{HERE}.augmentations:{_class_name(name)}", summary="") for name in names]


@hookimpl
def segreg_optimizers() -> Iterable[Optimizer]:
    names = [
        "is-an-optimizer",
        "descends",
        "learning-rate-is-followed",
        "resumes-where-it-stopped",
        "parameters-without-gradient-are-left-alone",
        "zero-gradients-stay-finite",
    ]
    return [Optimizer(name=name, target=f"{HERE}.optimizers:{_class_name(name)}", summary="") for name in names]


@hookimpl
def segreg_schedules() -> Iterable[Schedule]:
    names = [
        "factors-are-finite",
        "something-is-learnt",
        "is-a-pure-function",
    ]
    return [Schedule(name=name, target=f"{HERE}.schedules:{_class_name(name)}", summary="") for name in names]


@hookimpl
def segreg_trackers() -> Iterable[Tracker]:
    names = [
        "tracks-a-run",
        "tracks-a-resumed-run",
        "closes-before-it-begins",
        "leaves-the-run-alone",
        "leaves-what-it-is-given",
    ]
    return [Tracker(name=name, target=f"{HERE}.trackers:{_class_name(name)}", summary="") for name in names]
