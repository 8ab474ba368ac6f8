"""The kinds of component, one entry per kind. Code that treats all kinds alike loops over these entries.

A new kind needs an entry here, a record in `specs.py`, a hook in `hooks.py`, a contract in `contracts.py`, a folder in
`builtins/`, and a file of checks in `testing/`; if it determines or accompanies a run, also a field of `Recipe`.
"""

from collections.abc import Mapping

import attrs

from segreg.specs import Architecture, Augmentation, Component, Dataset, Loss, Metric, Optimizer, Schedule, Tracker

FACTS = ("in_channels", "num_classes", "class_pixels", "class_image_pixels")
"""Options that the data decide: a component that has one of them receives its value, and a recipe leaves it out.

The last two are about the training images, at the size of training: a number for each of the K values of a mask.
`class_pixels` are the pixels of a class, and `class_image_pixels` all pixels of the images in which it occurs. Ignored
pixels are not counted. Where there are no training images, as for a metric in an evaluation, they are left out, so such
an option needs a default.
"""


@attrs.frozen(kw_only=True)
class Kind:
    """Everything specific to one kind of component.

    Args:
        name: Its name in messages and options.
        plural: Its name in lists, and of the folder in `builtins/` and the file of checks.
        record: The class of the records with which plugins declare components.
        field: The field of `Recipe` that names components of this kind; empty if none does.
        facts: Those of `FACTS` that every component of the kind must have as options; it may have the others. None for
            a kind whose components are built before the data are read.
        given: Positional parameters that its components are called with, besides their options.
        sum: Import string of the class that adds up a weighted sum such as `bce+0.5*dice`; empty where a sum makes no
            sense.
    """

    name: str
    plural: str
    record: type[Component]
    field: str = ""
    facts: tuple[str, ...] | None = None
    given: tuple[str, ...] = ()
    sum: str = ""

    @property
    def decided(self) -> tuple[str, ...]:
        """Options that the data may decide."""
        return () if self.facts is None else FACTS

    @property
    def hook(self) -> str:
        """The name of the hook that declares components of this kind."""
        return f"segreg_{self.plural}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="architecture",
            plural="architectures",
            record=Architecture,
            field="model",
            facts=("in_channels", "num_classes"),
        ),
        Kind(
            name="loss",
            plural="losses",
            record=Loss,
            field="loss",
            facts=(),
            sum="segreg.builtins.losses.weighted_sum:WeightedSum",
        ),
        Kind(name="metric", plural="metrics", record=Metric, field="metrics", facts=("num_classes",)),
        Kind(name="dataset", plural="datasets", record=Dataset, field="data"),
        Kind(name="augmentation", plural="augmentations", record=Augmentation, field="augment"),
        Kind(name="optimizer", plural="optimizers", record=Optimizer, field="optimizer", given=("params",)),
        Kind(name="schedule", plural="schedules", record=Schedule, field="schedule"),
        Kind(name="tracker", plural="trackers", record=Tracker, field="track"),
    )
}
