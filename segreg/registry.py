"""Finds plugins, keeps each one's failures to itself, and turns names into components."""

import contextlib
import importlib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import attrs
import pluggy

from segreg import hooks
from segreg.errors import OptionError, PluginError, SegregError, UnknownNameError, did_you_mean
from segreg.expression import Expression, parse
from segreg.options import REQUIRED, Option, options_of, structured
from segreg.specs import Architecture, Component, Dataset, Loss, Metric, normalize

if TYPE_CHECKING:
    from torch import nn

    from segreg.contracts import SegmentationDataset, SegmentationMetric

Kind: TypeAlias = Literal["architecture", "loss", "metric", "dataset"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BUILTIN = "segreg"
_HOOKS: Mapping[Kind, tuple[str, type[Component]]] = {
    "architecture": ("segreg_architectures", Architecture),
    "loss": ("segreg_losses", Loss),
    "metric": ("segreg_metrics", Metric),
    "dataset": ("segreg_datasets", Dataset),
}


@attrs.frozen
class Entry:
    """A component that can be built.

    Args:
        kind: `architecture`, `loss`, `metric` or `dataset`.
        key: What people write: `unet`, or `namespace/name` for a plugin's.
        record: What the plugin declared.
        plugin: Who declared it.
    """

    kind: Kind
    key: str
    record: Component
    plugin: "Plugin"

    def target(self) -> Callable[..., Any]:
        """Import and return the class or function behind the name.

        Raises:
            PluginError: the import fails, or there is no such attribute.
        """
        module, _, attribute = self.record.target.partition(":")
        try:
            target: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.key!r} of {self.plugin.origin} cannot be imported from {self.record.target!r}: "
                f"{_one_line(error)}"
            ) from error
        return target

    def options(self) -> dict[str, Option]:
        """Return the options of the target, with this record's presets as defaults.

        Raises:
            PluginError: the target cannot be imported, or its signature breaks the contract.
        """
        try:
            options = options_of(self.target())
            presets = structured(self.key, options, self.record.options)
        except (TypeError, NameError, OptionError) as error:
            raise PluginError(f"{self.kind} {self.key!r} of {self.plugin.origin}: {error}") from error
        return {
            name: attrs.evolve(option, default=presets.get(name, option.default)) for name, option in options.items()
        }


@attrs.define
class Plugin:
    """An installed plugin and what became of it.

    Args:
        namespace: The entry point's name.
        distribution: The name of the distribution that brought it.
        version: The version of that distribution.
        entry_point: Where its hook module is.
        disabled: Whether `SEGREG_DISABLE_PLUGINS` names it.
        error: Why it cannot be used, or None.
    """

    namespace: str
    distribution: str
    version: str
    entry_point: EntryPoint
    disabled: bool = False
    error: BaseException | None = None

    @property
    def origin(self) -> str:
        """Its distribution and version, as one reads them."""
        return f"{self.distribution} {self.version}"

    @property
    def cause(self) -> str:
        """Why it cannot be used, in one line; empty if it can."""
        if self.disabled:
            return "disabled by SEGREG_DISABLE_PLUGINS"
        return _one_line(self.error) if self.error else ""

    @cached_property
    def entries(self) -> list[Entry]:
        """The components it declares: imported at the first look, empty if that fails, with `error` set."""
        if self.disabled or self.error:
            return []
        try:
            return list(self._declared())
        # SystemExit and RecursionError too: nothing that a plugin does while it is imported may stop anybody else.
        except (Exception, SystemExit) as error:
            self.error = error
            return []

    def _declared(self) -> Iterable[Entry]:
        with contextlib.redirect_stdout(sys.stderr):
            module = self.entry_point.load()
            manager = pluggy.PluginManager("segreg")
            manager.add_hookspecs(hooks)
            manager.register(module, self.namespace)
            manager.check_pending()
            if not manager.get_hookcallers(module):
                raise PluginError(f"{self.entry_point.value} has no function marked with segreg.hookimpl")
            for kind, (hook, record_type) in _HOOKS.items():
                names: set[str] = set()
                for record in [record for records in getattr(manager.hook, hook)() for record in records]:
                    if type(record) is not record_type:
                        raise PluginError(f"{hook} gave {record!r}: expected a {record_type.__name__}")
                    for name in (record.name, *record.aliases):
                        if name in names:
                            raise PluginError(f"{hook} declares the name {name!r} twice")
                        names.add(name)
                    key = record.name if self.namespace == _BUILTIN else f"{self.namespace}/{record.name}"
                    yield Entry(kind, key, record, self)


@attrs.frozen
class Description:
    """Everything that can be said about a component without building it.

    Args:
        entry: The component.
        options: Its options, with types, defaults and meanings.
        docstring: The whole docstring of its target.
    """

    entry: Entry
    options: Mapping[str, Option]
    docstring: str


class Registry:
    """Names, and the components behind them.

    Args:
        installed: The entry points to read; by default those of the group `segreg.v1` in the environment.
        disabled: Namespaces to leave alone, or `*` for all but segreg's own; by default `SEGREG_DISABLE_PLUGINS`,
            separated by commas.
    """

    def __init__(self, installed: Iterable[EntryPoint] | None = None, disabled: Iterable[str] | None = None) -> None:
        if installed is None:
            installed = entry_points(group=hooks.GROUP)
        if disabled is None:
            disabled = os.environ.get("SEGREG_DISABLE_PLUGINS", "").split(",")
        off = {normalize(name) for name in disabled}
        claims: dict[str, list[Plugin]] = defaultdict(list)
        for entry_point in installed:
            namespace = normalize(entry_point.name)
            distribution = entry_point.dist
            plugin = Plugin(
                namespace,
                distribution.name if distribution else "unknown distribution",
                distribution.version if distribution else "",
                entry_point,
                disabled=namespace != _BUILTIN and bool(off & {namespace, "*"}),
            )
            claims[namespace].append(plugin)
        self.plugins: list[Plugin] = []
        self._namespaces: dict[str, Plugin] = {}
        for namespace, plugins in sorted(claims.items(), key=lambda claim: (claim[0] != _BUILTIN, claim[0])):
            rightful = [plugin for plugin in plugins if namespace != _BUILTIN or plugin.distribution == _BUILTIN]
            for plugin in plugins:
                others = " and ".join(other.origin for other in plugins if other is not plugin)
                if plugin not in rightful:
                    plugin.error = PluginError(f"the namespace {namespace!r} is segreg's own: rename the entry point")
                elif len(rightful) > 1:
                    plugin.error = PluginError(f"the namespace {namespace!r} is also claimed by {others}: uninstall one")
            self.plugins += plugins
            self._namespaces[namespace] = (rightful or plugins)[0]

    def components(self, kind: Kind | None = None) -> list[Entry]:
        """Return every component that is installed and sound, segreg's own first, in the order of declaration.

        Raises:
            UnknownNameError: there is no such kind.
        """
        wanted = KINDS if kind is None else (_checked(kind),)
        entries = [entry for plugin in self.plugins for entry in plugin.entries]
        return [entry for each in wanted for entry in entries if entry.kind == each]

    def find(self, kind: Kind, name: str) -> Entry:
        """Return the component with this name, importing only the plugin that its namespace names.

        Raises:
            UnknownNameError: no such component is installed.
            PluginError: its plugin is broken, disabled or contested.
        """
        kind = _checked(kind)
        namespace, _, bare = normalize(name).rpartition("/")
        plugin = self._namespaces.get(namespace or _BUILTIN)
        if plugin:
            for entry in plugin.entries:
                if entry.kind == kind and bare in (entry.record.name, *entry.record.aliases):
                    return entry
            if plugin.cause:
                raise PluginError(f"{name!r} needs the plugin {plugin.namespace!r} of {plugin.origin}: {plugin.cause}") from plugin.error
        known = [entry.key for entry in self.components(kind)]
        aliases = [alias for entry in self.components(kind) for alias in entry.record.aliases]
        if not plugin:
            hint = f"no installed plugin has the namespace {namespace!r}{did_you_mean(namespace, self._namespaces)}"
        else:
            hint = f"there are {', '.join(known)}" if len(known) <= 12 else f"see `segreg list {kind}`"
        raise UnknownNameError(f"no {kind} is called {name!r}{did_you_mean(name, [*known, *aliases])}: {hint}")

    def resolve(self, kind: Kind, expression: str | Expression, **options: Any) -> tuple[Entry, dict[str, Any]]:
        """Find a component and check its options, without building it.

        Raises:
            ExpressionError, UnknownNameError, PluginError: the name cannot be read or found, or its plugin is broken.
            OptionError: an option is unknown, missing, given twice, or has a value that its type does not take.
        """
        expression = parse(expression) if isinstance(expression, str) else expression
        entry = self.find(kind, expression.name)
        for option in options.keys() & expression.options.keys():
            raise OptionError(f"{expression}: {option!r} is set to {options[option]!r} here: leave it out")
        declared = entry.options()
        values = structured(entry.key, declared, {**entry.record.options, **expression.options, **options})
        for option in declared.values():
            if option.default is REQUIRED and option.name not in values:
                raise OptionError(f"{entry.key} needs the option {option.name!r}: write {entry.key}:{option.name}=...")
        return entry, values

    def build(self, kind: Kind, expression: str | Expression, **options: Any) -> Any:
        """Build a component from its name, or an expression, and options.

        Raises:
            ExpressionError, UnknownNameError, PluginError: the name cannot be read or found, or its plugin is broken.
            OptionError: an option is unknown or missing, or has a value outside its type or range.
        """
        entry, checked = self.resolve(kind, expression, **options)
        try:
            return entry.target()(**checked)
        except SegregError:
            raise
        except ValueError as error:
            raise OptionError(f"{entry.key}: {error}") from error

    def describe(self, kind: Kind, name: str) -> Description:
        """Return what a component is, which options it has, and who brought it.

        Raises:
            UnknownNameError, PluginError: as for `find`.
        """
        entry = self.find(kind, name)
        return Description(entry, entry.options(), (entry.target().__doc__ or "").strip())


@cache
def registry() -> Registry:
    """Return the registry of this environment, made at the first call."""
    return Registry()


def build(name: str, **options: Any) -> "nn.Module":
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


def metric(name: str, **options: Any) -> "SegmentationMetric":
    """Build a metric: `metric("iou", num_classes=1, average="image")`.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
    """
    built: SegmentationMetric = registry().build("metric", name, **options)
    return built


def higher_is_better(metric: str) -> bool:
    """Whether of two values of a metric, given as an expression, the higher one is better."""
    record = registry().find("metric", parse(metric).name).record
    return isinstance(record, Metric) and record.higher_is_better


def dataset(name: str, **options: Any) -> "SegmentationDataset":
    """Open a data set: `dataset("ph2", root="PH2Dataset")`.

    Raises:
        ExpressionError, UnknownNameError, PluginError, OptionError: as for `build`.
        DataError: the data are missing or do not have the form that the data set expects.
    """
    opened: SegmentationDataset = registry().build("dataset", name, **options)
    return opened


def components(kind: Kind | None = None) -> list[Entry]:
    """Return the components that are installed, of one kind or of all.

    Raises:
        UnknownNameError: there is no such kind.
    """
    return registry().components(kind)


def describe(kind: Kind, name: str) -> Description:
    """Return what a component is, which options it has, and who brought it.

    Raises:
        UnknownNameError, PluginError: no such component is installed, or its plugin is broken.
    """
    return registry().describe(kind, name)


def _checked(kind: str) -> Kind:
    for each in KINDS:
        if kind == each:
            return each
    raise UnknownNameError(f"no kind of component is called {kind!r}{did_you_mean(kind, KINDS)}: there are {', '.join(KINDS)}")


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
