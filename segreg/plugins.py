"""Installed plugins: found by their entry points and imported on first use; a broken one does not affect the others."""

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pluggy

from segreg import hooks
from segreg.errors import PluginError, SegregError, printable
from segreg.isolation import Caught, streams_kept
from segreg.kinds import KINDS, Kind
from segreg.options import Option, options_of, reference_of, structured
from segreg.specs import NAME, Component, normalize

BUILTIN = "segreg"

_GROUPS = re.compile(r"segreg\.v[1-9][0-9]*")
_LONGEST_CAUSE = 500
_MOST_RECORDS = 10_000
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+")


@attrs.frozen
class Entry:
    """A component that can be built.

    Args:
        kind: The name of its kind, one of `KINDS`.
        key: What users write: `unet`, or `namespace/name` for a component of a plugin.
        record: What the plugin declared.
        plugin: The plugin that declared it.
    """

    kind: str
    key: str
    record: Component
    plugin: "Plugin"

    @property
    def keys(self) -> list[str]:
        """The key, and the same key with each alias."""
        prefix = self.key.removesuffix(self.record.name)
        return [prefix + name for name in (self.record.name, *self.record.aliases)]

    def target(self) -> Callable[..., Any]:
        """Import and return the class or function behind the name.

        Raises:
            PluginError: the import fails, or the attribute does not exist.
        """
        with Caught() as caught:
            target: Callable[..., Any] = imported(self.record.target)
            return target
        raise PluginError(
            f"{self.kind} {self.key!r} of {self.plugin.origin} cannot be imported from {self.record.target!r}: "
            f"{one_line(caught.error)}"
        ) from caught.error

    def reference(self) -> str:
        """Return where the idea comes from: what the record says, else the docstring of the target; may be empty.

        Raises:
            PluginError: the target cannot be imported.
        """
        return self.record.reference or reference_of(self.target())

    def options(self) -> Mapping[str, Option]:
        """Return the options of the target, with this record's presets as defaults.

        Raises:
            PluginError: the target cannot be imported, or its signature or the presets violate the contract.
        """
        return self._options

    @cached_property
    def _options(self) -> Mapping[str, Option]:
        target = self.target()
        # Its signature may be computed by its own code.
        with Caught() as caught:
            options = options_of(target, KINDS[self.kind].given)
            presets = structured(self.key, options, self.record.options)
            return {
                name: attrs.evolve(option, default=presets.get(name, option.default))
                for name, option in options.items()
            }
        raise PluginError(
            f"{self.kind} {self.key!r} of {self.plugin.origin} cannot be used: {one_line(caught.error)}"
        ) from caught.error


@attrs.define
class Plugin:
    """An installed plugin and its status.

    Args:
        namespace: The entry point's name.
        distribution: The name of the distribution that provides it.
        version: The version of that distribution.
        entry_point: The entry point that names its hook module.
        disabled: Whether `SEGREG_DISABLE_PLUGINS` names it.
        error: Why it cannot be used, or None.
    """

    namespace: str
    distribution: str
    version: str
    entry_point: EntryPoint
    disabled: bool = False
    error: BaseException | None = None
    _loaded: bool = attrs.field(default=False, init=False)

    @property
    def builtin(self) -> bool:
        """Whether it is segreg's own plugin."""
        return self.namespace == BUILTIN and self.distribution == BUILTIN

    @property
    def waits(self) -> bool:
        """Whether it has not been imported yet, and will be when its entries are needed. segreg's own never waits."""
        return not (self._loaded or self.disabled or self.error or self.builtin)

    @property
    def origin(self) -> str:
        """Its distribution and version, for display."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def cause(self) -> str:
        """Why it cannot be used, in one line; empty if it can."""
        if self.disabled:
            return "disabled by SEGREG_DISABLE_PLUGINS"
        return one_line(self.error) if self.error else ""

    @cached_property
    def entries(self) -> list[Entry]:
        """The components it declares, imported on first access; if that fails, empty, with `error` set."""
        if self.disabled or self.error:
            return []
        self._loaded = True
        with Caught() as caught, streams_kept(aside=True):
            return self._declared()
        self.error = caught.error
        return []

    def _declared(self) -> list[Entry]:
        module = self.entry_point.load()
        manager = pluggy.PluginManager("segreg")
        manager.add_hookspecs(hooks)
        manager.register(module, self.namespace)
        manager.check_pending()
        if not manager.get_hookcallers(module):
            raise PluginError(f"{self.entry_point.value} has no function marked with segreg.hookimpl")
        return [
            Entry(kind.name, record.name if self.builtin else f"{self.namespace}/{record.name}", record, self)
            for kind in KINDS.values()
            for record in _records(module, manager, kind)
        ]


def installed() -> list[EntryPoint]:
    """Return the entry points of the plugins in this environment.

    If a distribution supports several versions of the interface, the first one is used. One that supports only a newer
    version is included too, so that `discover` can report it.
    """
    found = entry_points()
    chosen: dict[Distribution | None, str] = {}
    return [
        point
        for group in sorted(filter(_GROUPS.fullmatch, found.groups))
        for point in found.select(group=group)
        if chosen.setdefault(point.dist, group) == group
    ]


def discover(points: Iterable[EntryPoint], disabled: Iterable[str]) -> list[Plugin]:
    """Return a plugin for every entry point, segreg's own first, without importing any.

    A namespace belongs to one distribution, and `segreg` to segreg. If two claim the same one, neither can be used.
    """
    off = {normalize(name) for name in disabled}
    plugins = [_plugin(point) for point in points]
    plugins.sort(key=lambda plugin: (not plugin.builtin, plugin.namespace, plugin.distribution))
    for plugin in plugins:
        plugin.disabled = not plugin.builtin and bool(off & {plugin.namespace, "*"})
        objection = "" if plugin.disabled else _objection(plugin, plugins)
        plugin.error = PluginError(objection) if objection else None
    return plugins


def imported(target: str) -> Any:
    """Import what an import string such as `package.module:Class` names; what that prints goes to standard error."""
    module, _, attribute = target.partition(":")
    with streams_kept(aside=True):
        return getattr(importlib.import_module(module), attribute)


def missing_plugin(file: Path, name: str, distribution: str, version: str) -> PluginError:
    """Return the error for a component that no installed plugin provides, with the version that the file names."""
    # The file may come from anyone: what is not a distribution name must not end up in a shell.
    if not _DISTRIBUTION.fullmatch(distribution) or not _VERSION.fullmatch(version):
        return PluginError(
            f"{file} needs {name!r}, which is not installed, and does not name the plugin that provides it"
        )
    return PluginError(
        f"{file} needs {name!r}, which is not installed; it was saved with {distribution} {version}: "
        f"if you know and trust that, pip install {distribution}=={version}"
    )


def one_line(error: BaseException) -> str:
    """Format an error in one line without escape sequences, with its type unless it is one of segreg's own."""
    message = "its message cannot be read"
    with Caught():
        message = str(error)
    text = message if isinstance(error, SegregError) else f"{type(error).__name__}: {message}"
    line = printable(" ".join(text.split()).removesuffix(":"))
    return line if len(line) <= _LONGEST_CAUSE else f"{line[: _LONGEST_CAUSE - 1]}…"


def _plugin(entry_point: EntryPoint) -> Plugin:
    # Read once, since every access parses the whole file.
    metadata = entry_point.dist.metadata if entry_point.dist else {"Name": "", "Version": ""}
    # A partially removed distribution has no name.
    name, version = metadata["Name"] or "an unknown distribution", metadata["Version"] or ""
    return Plugin(normalize(entry_point.name), name, version, entry_point)


def _objection(plugin: Plugin, plugins: Iterable[Plugin]) -> str:
    point, claim = plugin.entry_point, f"the namespace {plugin.namespace!r}"
    rivals = [other.origin for other in plugins if other.namespace == plugin.namespace and other is not plugin]
    if plugin.builtin:
        return ""
    if plugin.namespace == BUILTIN:
        return f"{claim} is segreg's own: rename the entry point"
    if not NAME.fullmatch(plugin.namespace):
        return f"{claim} must be letters and digits, in words joined by -: rename the entry point"
    if rivals:
        return f"{claim} is also claimed by {' and '.join(rivals)}: uninstall one"
    if point.group != hooks.GROUP:
        return f"it is written for {point.group}, but this segreg supports {hooks.GROUP}: update segreg"
    if not point.pattern.match(point.value):
        return f"its entry point {point.name} = {point.value} must name a module, as in 'package.plugin'"
    return ""


def _records(module: ModuleType, manager: pluggy.PluginManager, kind: Kind) -> list[Component]:
    answers = getattr(manager.hook, kind.hook)()
    if hasattr(module, kind.hook) and not answers:
        raise PluginError(f"{kind.hook} returns nothing: mark it with segreg.hookimpl and return a list")
    records: list[Component] = []
    names: set[str] = set()
    for record in chain.from_iterable(answers):
        if not isinstance(record, kind.record):
            raise PluginError(f"{kind.hook} returns {record!r}: expected records of type {kind.record.__name__}")
        if len(records) == _MOST_RECORDS:
            raise PluginError(f"{kind.hook} returns more than {_MOST_RECORDS:,} records: is it an endless loop?")
        for name in (record.name, *record.aliases):
            if name in names:
                raise PluginError(f"{kind.hook} declares the name {name!r} twice")
            names.add(name)
        records.append(record)
    return records
