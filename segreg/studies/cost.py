"""What the missing runs of a study will cost, as far as it is known before they are started."""

import math
from contextlib import suppress

from segreg.errors import counted
from segreg.nn.meta import without_values
from segreg.recipe import Recipe
from segreg.specs import Architecture
from segreg.studies.study import Study

_BYTES_OF_A_NUMBER = 4
# A checkpoint has the weights, the best ones, and two numbers for each from an optimizer such as Adam.
_COPIES_IN_A_CHECKPOINT = 4


def cost_of(study: Study) -> str:
    """Return in a line how many runs are missing, where they are written, and what they need of space and time."""
    plan, missing = study.plan, study.missing
    seeds = max(map(len, plan.configurations))
    finished = len(plan.recipes) - len(missing)
    of = [counted(len(plan.configurations), "configuration"), counted(seeds, "seed")]
    of += [f"{finished} already finished"] if finished else []
    runs = f"{counted(len(missing), 'run')} to train ({', '.join(of)})"
    return f"{runs} in {study.path}; disk space: {_space(missing)}; time: {_time(study)}"


def _space(missing: list[Recipe]) -> str:
    by_model = {model: _weights(recipe) for model, recipe in {recipe.model: recipe for recipe in missing}.items()}
    sizes = [size for recipe in missing if (size := by_model[recipe.model]) is not None]
    if len(sizes) < len(missing):
        return "unknown, since not every model can be built without its weights"
    needed = sum(sizes) + _COPIES_IN_A_CHECKPOINT * max(sizes, default=0)
    # Samples, worst cases and plots, whose size was measured.
    needed += sum(200_000 + 50 * math.prod(recipe.size) for recipe in missing)
    return f"about {needed / 1e9:.1f} GB" if needed > 1e9 else f"about {math.ceil(needed / 1e6)} MB"


def _weights(recipe: Recipe) -> int | None:
    """Return the size of a model's weights in bytes; None if that cannot be known without much work."""
    [architecture] = recipe.components["architecture"]
    record = architecture.entry.record
    initial = record.pretrained_options if isinstance(record, Architecture) else ()
    # These might be downloaded.
    if any(architecture.options.get(option) for option in initial):
        return None
    # Whatever a plugin raises: the run itself will report it.
    with suppress(Exception), without_values():
        model = architecture.build(in_channels=3, num_classes=1)
        return _BYTES_OF_A_NUMBER * sum(int(parameter.numel()) for parameter in model.parameters())
    return None


def _time(study: Study) -> str:
    """Return how long it takes, if runs of the study have shown that."""
    seconds = [
        float(study.run(recipe).results["seconds"]) for recipe in study.plan.recipes if study.run(recipe).finished
    ]
    if not seconds:
        return "unknown until a run is finished"
    hours = sum(seconds) / len(seconds) * len(study.missing) / 3600
    shown = f"{hours:.1f} hours" if hours > 1 else counted(math.ceil(60 * hours), "minute")
    return f"about {shown}, if they take as long as the {len(seconds)} finished ones"
