"""Whether a run ends before its last epoch, and what continues one that has ended."""

from segreg.recipe import Recipe
from segreg.runs.run import Run
from segreg.training.state import State


def stopped_early(recipe: Recipe, state: State) -> bool:
    """Whether the first metric has not improved for so long that no further epoch is trained."""
    patience, epochs = recipe.patience, len(state.history)
    return patience is not None and state.epochs_since_best >= patience and epochs < recipe.epochs


def nothing_left(run: Run, recipe: Recipe) -> str:
    """Say why a finished run has nothing left to train with a recipe, and what would continue it; empty if it has."""
    epochs, earlier = len(run.history), run.recipe.patience
    if run.results["stopped_early"] and earlier and recipe.patience and recipe.patience <= earlier:
        return f"it stopped early after epoch {epochs}, and only a patience above {earlier}, or none, continues it"
    return "only its number of epochs can be changed, and only raised" if recipe.epochs <= epochs else ""
