"""What a user should know about a run before it starts: nothing is wrong, but the results may not be what was meant."""

import math
from collections.abc import Iterator

from torch import nn

from segreg.data.split import Data
from segreg.nn.normalized import IMAGENET, Moments
from segreg.recipe import Recipe
from segreg.resolved import terms_of
from segreg.runs.model_file import About
from segreg.runs.provenance import values_from_data
from segreg.specs import Architecture
from segreg.training.accumulate import why_not_the_mean

_LISTED = 5


def notes(recipe: Recipe, data: Data, about: About, model: nn.Module, loss: nn.Module) -> Iterator[str]:
    """Yield one line for each thing that should be known.

    Args:
        recipe: What is trained.
        data: The images.
        about: The metadata of the model.
        model: The model, without input normalisation.
        loss: The loss that was built.
    """
    images = len(data.splits["train"])
    if recipe.images_per_step > images:
        accumulated = f" with accumulate {recipe.accumulate}" if recipe.accumulate > 1 else ""
        yield (
            f"batch {recipe.batch}{accumulated} is more than the {images} training images: "
            "each step uses the whole training set"
        )
    if recipe.accumulate > 1 and recipe.batch < images and (why := why_not_the_mean(recipe, data)):
        yield f"accumulate: {why}"
    yield from _unsuited_normalization(recipe, about, model)
    yield from _classes_without_pixels(recipe, data, loss)


def _unsuited_normalization(recipe: Recipe, about: About, model: nn.Module) -> Iterator[str]:
    [architecture] = recipe.components["architecture"]
    record = architecture.entry.record
    initial = record.pretrained_options if isinstance(record, Architecture) else ()
    if not any(architecture.options.get(option) for option in initial):
        return
    mean, deviation = _trained_with(model)
    plain = ((0.0,) * len(mean), (1.0,) * len(mean))
    given = plain if recipe.normalize == "none" else about.moments
    # A model for images of other channels has adapted its weights, and nothing is known of the further channels.
    if about.in_channels != len(mean) or _near(given, (mean, deviation)):
        return
    setting = {IMAGENET: "imagenet", plain: "none"}.get((mean, deviation))
    way_out = f"normalize={setting} does that" if setting else "no setting of normalize does that"
    numbers = [", ".join(f"{value:g}" for value in values) for values in (mean, deviation)]
    yield (
        f"the pretrained weights of {architecture.entry.key} were trained on images normalised with mean {numbers[0]} "
        f"and deviation {numbers[1]}: {way_out}, and this run has normalize={recipe.normalize}"
    )


def _trained_with(model: nn.Module) -> Moments:
    """Return the moments that a part of the model says its weights were trained with; else ImageNet's."""
    for module in model.modules():
        moments = getattr(module, "pretrained_moments", None)
        if moments is not None:
            return tuple(moments[0]), tuple(moments[1])
    return IMAGENET


def _near(one: Moments, other: Moments) -> bool:
    pairs = [pair for values in zip(one, other, strict=True) for pair in zip(*values, strict=False)]
    return len(one[0]) == len(other[0]) and all(math.isclose(a, b, abs_tol=0.005) for a, b in pairs)


def _classes_without_pixels(recipe: Recipe, data: Data, loss: nn.Module) -> Iterator[str]:
    names = data.task.value_names(data.classes)
    missing = [name for name, pixels in zip(names, data.class_pixels, strict=True) if not pixels]
    terms = recipe.components["loss"]
    weighted = [term for term, built in zip(terms, terms_of(terms, loss), strict=True) if values_from_data(built)]
    if missing and weighted:
        shown = ", ".join(missing[:_LISTED]) + (f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else "")
        losses = " and ".join(str(term.expression) for term in weighted)
        yield f"no training image shows {shown}: {losses} cannot balance that"
