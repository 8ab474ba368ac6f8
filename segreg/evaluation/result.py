"""What came out of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from segreg.evaluation.comparison import in_words
from segreg.evaluation.scores import Scores
from segreg.scoring.statistics import Comparison
from segreg.task import Task, task_of


@attrs.frozen(eq=False, kw_only=True)
class Evaluation:
    """What one model scores, or two on the same images. `segreg.evaluate` makes one.

    Args:
        path: The directory with its files.
        data: The dataset, as an expression.
        split: Which split of it.
        classes: One name for a binary task, else one a class.
        models: What each model scores, in the order in which they were given.
        comparisons: By metric, the first model minus the second; empty for one model.
        notes: What one should know of these figures, a sentence each.
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
        """What the classes are to each other."""
        return task_of(len(self.classes))

    @property
    def words(self) -> list[str]:
        """The comparison in a sentence a metric."""
        return [
            in_words(metric, self.models[0], self.models[1], comparison)
            for metric, comparison in self.comparisons.items()
        ]
