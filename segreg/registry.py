"""Turns names into components: looks them up in the installed plugins, checks their options and builds them."""

import inspect
import os
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import attrs

from segreg.errors import OptionError, PluginError, UnknownNameError, did_you_mean, nearest
from segreg.expression import Expression, parse, parse_sum
from segreg.kinds import KINDS
from segreg.options import REQUIRED, Option, check_names, structured
from segreg.plugins import BUILTIN, Entry, Plugin, discover, installed
from segreg.resolved import Resolved, build_sum
from segreg.specs import Metric, normalize

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as Optim

    from segreg.contracts import BatchAugmentation, LearningRateSchedule, SegmentationDataset, SegmentationMetric


@attrs.frozen
class Description:
    """Everything that is known about a component without building it.

    Args:
        entry: The component.
        options: Its options, with types, defaults and meanings.
        docstring: The full docstring of its target.
    """

    entry: Entry
    options: Mapping[str, Option]
    docstring: str


class Registry:
    """Names, and the components behind them.

    Args:
        entry_points: The entry points to read; by default those of the group `segreg.v1` in the environment.
        disabled: Namespaces to disable, or `*` for all except segreg's own; by default `SEGREG_DISABLE_PLUGINS`,
            separated by commas.
    """

    def __init__(self, entry_points: Iterable[EntryPoint] | None = None, disabled: Iterable[str] | None = None) -> None:
        if entry_points is None:
            entry_points = installed()
        if disabled is None:
            disabled = os.environ.get("SEGREG_DISABLE_PLUGINS", "").split(",")
        self.plugins = discover(entry_points, disabled)
        self._namespaces: dict[str, Plugin] = {}
        for plugin in self.plugins:
            self._namespaces.setdefault(plugin.namespace, plugin)

    def components(self, kind: str | None = None) -> list[Entry]:
        """Return every installed component of a working plugin, segreg's own first, in the order of declaration.

        Raises:
            UnknownNameError: the kind does not exist.
        """
        wanted = KINDS if kind is None else (_checked(kind),)
        return [entry for each in wanted for entry in _entries(self.plugins, each)]

    def find(self, kind: str, name: str) -> Entry:
        """Return the component with this name, importing only the plugin that its namespace names.

        Raises:
            UnknownNameError: no such component is installed.
            PluginError: its plugin is broken, disabled, or shares its namespace with another one.
        """
        kind = _checked(kind)
        for entry in self.named(name, kind):
            if entry.kind == kind:
                return entry
        namespace, _ = _split(name)
        near = self.suggestion(name, kind)
        if namespace not in self._namespaces:
            spelling = did_you_mean(namespace, self._namespaces)
            hint = f"no installed plugin has the namespace {namespace!r}{spelling}"
        else:
            hint = self._available(kind)
        raise UnknownNameError(f"unknown {kind} {name!r}{near}; {hint}")

    def named(self, name: str, what: str = "component") -> list[Entry]:
        """Return the components of any kind with this name, importing only the plugin that its namespace names.

        Args:
            name: The name. A loss and a metric may share one.
            what: What it should be, for the error.

        Raises:
            PluginError: as for `find`.
        """
        namespace, bare = _split(name)
        plugin = self._namespaces.get(namespace)
        if plugin is None:
            return []
        found = [entry for entry in plugin.entries if bare in (entry.record.name, *entry.record.aliases)]
        if plugin.cause:
            raise PluginError(
                f"{what} {name!r} needs the plugin {namespace!r} of {plugin.origin}: {plugin.cause}"
            ) from plugin.error
        return found

    def suggestion(self, name: str, kind: str | None = None) -> str:
        """Return a hint at the name that is nearest to an unknown one, of one kind or of any; empty if none is near.

        Importing a plugin takes time, and it may be broken. So all are searched only if no name is near among those
        that are imported already, and in the plugin whose namespace is nearest. Plugins found broken are named.
        """
        waiting = [plugin for plugin in self.plugins if plugin.waits]
        namespace = nearest(_split(name)[0], self._namespaces)
        first = [plugin for plugin in self.plugins if not plugin.waits or plugin.namespace == namespace]
        near = did_you_mean(name, _keys(first, kind)) or did_you_mean(name, _keys(self.plugins, kind))
        broken = [f"{each.namespace!r} of {each.origin} ({each.cause})" for each in waiting if each.error]
        return f"{near}; broken plugins: {', '.join(broken)}" if broken else near

    def resolve(
        self, kind: str, expression: str | Expression, decided: Collection[str] = (), /, **options: Any
    ) -> Resolved:
        """Find a component and check its options, without building it.

        Args:
            kind: The name of its kind.
            expression: Its name, perhaps with options.
            decided: Options whose values are supplied when it is built, so that the expression must leave them out.
                The component must have those that its kind requires, and may have the others.
            options: More options.

        Raises:
            ExpressionError, UnknownNameError, PluginError: the name cannot be read or found, or its plugin is broken.
            OptionError: an option is unknown, missing, given twice, or has a value that its type does not accept.
        """
        expression = parse(expression) if isinstance(expression, str) else expression
        entry = self.find(kind, expression.name)
        declared = entry.options()
        undecided = tuple(name for name in decided if name in declared)
        if decided:
            check_names(entry.key, declared, KINDS[kind].facts or ())
        for name in sorted(expression.options):
            if name in options or name in undecided:
                why = f"is already {options[name]!r}" if name in options else "the data decide"
                raise OptionError(f"{str(expression)!r} sets {name!r}, which {why}: leave it out")
        values = structured(entry.key, declared, {**entry.record.options, **expression.options, **options})
        for name, option in declared.items():
            if option.default is REQUIRED and name not in values and name not in undecided:
                raise OptionError(f"{entry.key} needs the option {name!r}: write {entry.key}:{name}=...")
        written = Expression(entry.key, {name: values[name] for name in expression.options})
        return Resolved(entry, written, values, undecided)

    def resolve_sum(self, kind: str, expression: str, decided: Collection[str] = (), /) -> list[Resolved]:
        """Resolve the terms of a weighted sum such as `bce+0.5*dice`; for a kind without sums, the single component.

        Raises:
            ExpressionError, UnknownNameError, PluginError, OptionError: as for `resolve`.
        """
        if not KINDS[kind].sum:
            return [self.resolve(kind, expression, decided)]
        return [
            attrs.evolve(self.resolve(kind, term, decided), weight=weight) for weight, term in parse_sum(expression)
        ]

    def build(self, kind: str, expression: str | Expression, /, *given: Any, **options: Any) -> Any:
        """Build a component from its name, or an expression, and options; an optimizer, from the parameters too.

        Raises:
            ExpressionError, UnknownNameError, PluginError: the name cannot be read or found, or its plugin is broken.
            OptionError: an option is unknown or missing, has a value outside its type or range, or needs more
                memory than available.
        """
        return self.resolve(kind, expression, **options).build(*given)

    def describe(self, kind: str, name: str) -> Description:
        """Return what a component is, which options it has, and which plugin provides it.

        Raises:
            UnknownNameError, PluginError: as for `find`.
        """
        entry = self.find(kind, name)
        return Description(entry, entry.options(), inspect.cleandoc(entry.target().__doc__ or ""))

    def _available(self, kind: str) -> str:
        """Say which components there are, without importing more plugins."""
        known = [entry.key for entry in _entries([plugin for plugin in self.plugins if not plugin.waits], kind)]
        if len(known) > 12:
            return f"see `segreg list {kind}`"
        more = f"; more in `segreg list {kind}`" if any(plugin.waits for plugin in self.plugins) else ""
        return f"available: {', '.join(known)}{more}"


def _split(name: str) -> tuple[str, str]:
    """Return namespace and name in their normal forms."""
    namespace, _, bare = normalize(name).rpartition("/")
    return namespace or BUILTIN, bare


def _entries(plugins: Iterable[Plugin], kind: str | None) -> list[Entry]:
    return [entry for plugin in plugins for entry in plugin.entries if kind in (None, entry.kind)]


def _keys(plugins: Iterable[Plugin], kind: str | None) -> list[str]:
    return [key for entry in _entries(plugins, kind) for key in entry.keys]


@cache
def registry() -> Registry:
    """Return the registry of this environment, made on the first call."""
    return Registry()


def build(name: str, /, **options: Any) -> "nn.Module":
    """Build a model: `build("unet", pool="conv")`, or the same as an expression, `build("unet:pool=conv")`.

    Args:
        name: An architecture's name, or an expression.
        options: Its options; every architecture has `in_channels` and `num_classes`.

    Raises:
        ExpressionError, UnknownNameError, PluginError: the name cannot be read or found, or its plugin is broken.
        OptionError: an option is unknown or missing, or has a value outside its type or range.
    """
    model: nn.Module = registry().build("architecture", name, **options)
    return model


def loss(expression: str, /, **options: Any) -> "nn.Module":
    """Build a loss from a name, an expression or a sum: `loss("dice")`, `loss("bce+0.5*dice:smooth=0.5")`.

    Args:
        expression: Names with options, joined by `+`, each perhaps with a weight before a `*`.
        options: More options, where the expression has one term.

    Raises:
        ExpressionError, UnknownNameError, PluginError: a name cannot be read or found, or its plugin is broken.
        OptionError: an option is unknown or missing, has a value outside its type or range, or is given for a sum.
    """
    terms = parse_sum(expression)
    if options and len(terms) > 1:
        raise OptionError(
            f"{expression!r} has {len(terms)} terms: write each one's options into it, as in bce+0.5*dice:smooth=0.5"
        )
    built: nn.Module = build_sum(
        [attrs.evolve(registry().resolve("loss", term, **options), weight=weight) for weight, term in terms]
    )
    return built


def metric(name: str, /, **options: Any) -> "SegmentationMetric":
    """Build a metric: `metric("iou", num_classes=1, average="image")`.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
    """
    built: SegmentationMetric = registry().build("metric", name, **options)
    return built


def higher_is_better(metric: str) -> bool:
    """Return whether higher values of a metric, given as an expression, are better."""
    record = registry().find("metric", parse(metric).name).record
    return isinstance(record, Metric) and record.higher_is_better


def dataset(name: str, /, **options: Any) -> "SegmentationDataset":
    """Open a dataset: `dataset("ph2", root="PH2Dataset")`.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
        DataError: the data are missing or do not have the form that the dataset expects.
    """
    opened: SegmentationDataset = registry().build("dataset", name, **options)
    return opened


def augmentation(name: str, /, **options: Any) -> "BatchAugmentation":
    """Build an augmentation: `augmentation("affine", degrees=90)`.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
    """
    built: BatchAugmentation = registry().build("augmentation", name, **options)
    return built


def optimizer(name: str, params: "Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]", /, **options: Any) -> "Optim":
    """Build an optimizer: `optimizer("sgd", model.parameters(), lr=0.1)`.

    Args:
        name: Its name, or an expression.
        params: Parameters, or groups of them, as any optimizer of torch takes them.
        options: Its options.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
    """
    built: Optim = registry().build("optimizer", name, params, **options)
    return built


def schedule(name: str, /, **options: Any) -> "LearningRateSchedule":
    """Build a schedule: `schedule("cosine", warmup=0.05)(step, steps)` is a factor of the learning rate.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
    """
    built: LearningRateSchedule = registry().build("schedule", name, **options)
    return built


def components(kind: str | None = None) -> list[Entry]:
    """Return the components that are installed, of one kind or of all.

    Raises:
        UnknownNameError: the kind does not exist.
    """
    return registry().components(kind)


def describe(kind: str, name: str) -> Description:
    """Return what a component is, which options it has, and which plugin provides it.

    Raises:
        UnknownNameError, PluginError: no such component is installed, or its plugin is broken.
    """
    return registry().describe(kind, name)


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise UnknownNameError(
            f"unknown kind of component {kind!r}{did_you_mean(kind, KINDS)}; available: {', '.join(KINDS)}"
        )
    return kind
