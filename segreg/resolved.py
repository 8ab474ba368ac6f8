"""Components that were found and whose options were checked, ready to be built."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from segreg.errors import OptionError, SegregError, single_line
from segreg.expression import Expression
from segreg.kinds import KINDS
from segreg.options import structured
from segreg.plugins import Entry, imported


@attrs.frozen
class Resolved:
    """A component that was found, with options that were checked.

    Args:
        entry: The component.
        expression: Its key with the options that were written, as values of their types.
        options: What it is built with beside its defaults: the record's presets and what was chosen.
        undecided: Options that are given when it is built.
        weight: Its factor in a weighted sum.
    """

    entry: Entry
    expression: Expression
    options: Mapping[str, Any]
    undecided: tuple[str, ...] = ()
    weight: float = 1.0

    def every_option(self, **facts: Any) -> dict[str, Any]:
        """Return all options, with their defaults where nothing was chosen.

        Args:
            facts: What decides the options that were left open; what it has no option for is passed over.

        Raises:
            OptionError: a fact is not of the option's type.
        """
        defaults = {name: option.default for name, option in self.entry.options().items()}
        return {**defaults, **self._chosen(facts)}

    def build(self, **facts: Any) -> Any:
        """Build the component.

        Args:
            facts: As for `every_option`.

        Raises:
            OptionError: an option has a value outside its type or range, or asks for more memory than there is.
            PluginError: the component cannot be imported.
        """
        options = self._chosen(facts)
        try:
            return self.entry.target()(**options)
        except SegregError:
            raise
        except ValueError as error:
            raise OptionError(f"{self.entry.key}: {single_line(error)}") from error
        except (MemoryError, RuntimeError) as error:
            # What torch says of a size that the memory does not hold, and of one that no memory could.
            words = ("allocate memory", "Storage size calculation overflowed")
            if isinstance(error, MemoryError) or any(each in str(error) for each in words):
                what = ", ".join(f"{name}={value}" for name, value in options.items())
                raise OptionError(f"{self.entry.key} takes more memory than there is with {what}: try less") from error
            raise

    def _chosen(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        decided = {name: facts[name] for name in self.undecided}
        # A copy: what one component does to a list that it is given is not to be seen by the next.
        return {**copy.deepcopy(dict(self.options)), **structured(self.entry.key, self.entry.options(), decided)}


def build_sum(terms: Sequence[Resolved], **facts: Any) -> Any:
    """Build the components of a weighted sum, and what adds them up unless there is only one, of weight 1."""
    match terms:
        case [Resolved(weight=1.0) as single]:
            return single.build(**facts)
        case _:
            sum_of = imported(KINDS[terms[0].entry.kind].sum)
            return sum_of([(term.weight, term.build(**facts)) for term in terms])
