"""The components of this plugin. Only names here: torch is imported when one of them is used."""

from collections.abc import Iterable

from segreg import Architecture, Augmentation, Loss, hookimpl


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="dilated-net",
            target="segreg_example.dilated_net:DilatedNet",
            summary="Dilated convolutions at full resolution",
            min_size=8,
        )
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    """Declare the losses."""
    return [
        Loss(
            name="hinge",
            target="segreg_example.hinge:HingeLoss",
            summary="Hinge loss, one class against the rest",
        )
    ]


@hookimpl
def segreg_augmentations() -> Iterable[Augmentation]:
    """Declare the augmentations."""
    return [
        Augmentation(
            name="haze",
            target="segreg_example.haze:Haze",
            summary="Blends with white",
        )
    ]
