"""The result of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from segreg.evaluation.comparison import in_words
from segreg.evaluation.scores import Scores
from segreg.scoring.statistics import Comparison
from segreg.task import Task, task_of


@attrs.frozen(eq=False, kw_only=True)
class Evaluation:
    """The scores of one model, or of two on the same images. Returned by `segreg.evaluate`.

    Args:
        path: The directory with its files.
        data: The dataset, as an expression.
        split: Which split of it.
        classes: One name for a binary task, else one per class.
        models: The scores of each model, in the order given.
        comparisons: By metric, the first model minus the second; empty for one model.
        notes: How to read these scores, one sentence each.
    """

    path: Path
    data: str
    split: str
    classes: Sequence[str]
    models: Sequence[Scores]
    comparisons: Mapping[str, Comparison]
    notes: Sequence[str]

    @property
    def task(self) -> Task:
        """Binary or multiclass."""
        return task_of(len(self.classes))

    @property
    def words(self) -> list[str]:
        """The comparison, one sentence per metric."""
        return [
            in_words(metric, self.models[0], self.models[1], comparison)
            for metric, comparison in self.comparisons.items()
        ]
