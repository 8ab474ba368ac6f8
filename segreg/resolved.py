"""Resolved components: found, with checked options, ready to be built."""

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
    """A component that was found, with checked options.

    Args:
        entry: The component.
        expression: Its key with the options that were written, as values of their types.
        options: What it is built with besides its defaults: the record's presets and the chosen options.
        undecided: Options whose values are supplied when it is built.
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
            facts: Values of the undecided options; those that it has no option for are ignored.

        Raises:
            OptionError: a fact is not of the option's type.
        """
        return {**self._defaults(), **self._chosen(facts)}

    def known_options(self) -> dict[str, Any]:
        """Return all options but the undecided ones, with their defaults where nothing was chosen."""
        return {
            name: value for name, value in {**self._defaults(), **self.options}.items() if name not in self.undecided
        }

    def build(self, *given: Any, **facts: Any) -> Any:
        """Build the component.

        Args:
            given: What components of its kind are called with besides options: an optimizer, with the parameters.
            facts: As for `every_option`.

        Raises:
            OptionError: an option has a value outside its type or range, or needs more memory than available.
            PluginError: the component cannot be imported.
        """
        options = self._chosen(facts)
        try:
            return self.entry.target()(*given, **options)
        except SegregError:
            raise
        except ValueError as error:
            raise OptionError(f"{self.entry.key}: {single_line(error)}") from error
        except (MemoryError, RuntimeError) as error:
            # torch's messages for a size that does not fit into memory, and for one that never could.
            words = ("allocate memory", "Storage size calculation overflowed")
            if isinstance(error, MemoryError) or any(each in str(error) for each in words):
                what = ", ".join(f"{name}={value}" for name, value in options.items())
                raise OptionError(f"{self.entry.key} needs more memory than available with {what}: try less") from error
            raise

    def _defaults(self) -> dict[str, Any]:
        return {name: option.default for name, option in self.entry.options().items()}

    def _chosen(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        decided = {name: facts[name] for name in self.undecided}
        # A copy, so that a component that modifies a list it is given does not affect the next one.
        return {**copy.deepcopy(dict(self.options)), **structured(self.entry.key, self.entry.options(), decided)}


def terms_of(terms: Sequence[Resolved], built: Any) -> list[Any]:
    """Return what `build_sum` built from each of the components."""
    return [built] if len(terms) == 1 and terms[0].weight == 1.0 else list(built.losses)


def build_sum(terms: Sequence[Resolved], **facts: Any) -> Any:
    """Build a weighted sum of components; a single component of weight 1 is built alone."""
    match terms:
        case [Resolved(weight=1.0) as single]:
            return single.build(**facts)
        case _:
            sum_of = imported(KINDS[terms[0].entry.kind].sum)
            return sum_of([(term.weight, term.build(**facts)) for term in terms])
