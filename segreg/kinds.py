"""The kinds of component, one row per kind. Whatever treats kinds alike loops over these rows.

A new kind is a row here, its record in `specs.py`, its hook in `hooks.py`, its contract in `contracts.py`, a folder in
`builtins/`, and a file of checks in `testing/`; if it decides or accompanies a run, also a field of `Recipe`.
"""

from collections.abc import Mapping

import attrs

from segreg.specs import Architecture, Component, Dataset, Loss, Metric, Tracker

FACTS = ("in_channels", "num_classes")
"""What the data decide: a component that has an option of such a name is given it, and a recipe leaves it out."""


@attrs.frozen(kw_only=True)
class Kind:
    """What is to be known of a kind of component.

    Args:
        name: What messages and options call it.
        plural: What lists, the folder in `builtins/` and the file of checks are called.
        record: What a plugin declares it with.
        field: The field of `Recipe` that names components of this kind; empty if none does.
        facts: Which of `FACTS` every component of the kind has as options; it may have the others. None for a kind
            whose components are built before the data are read.
        sum: What adds up components that are written as a weighted sum such as `bce+0.5*dice`, as an import string;
            empty where a sum makes no sense.
    """

    name: str
    plural: str
    record: type[Component]
    field: str = ""
    facts: tuple[str, ...] | None = None
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
        Kind(name="tracker", plural="trackers", record=Tracker, field="track"),
    )
}
