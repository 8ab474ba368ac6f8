"""`segreg list`: the installed components."""

import argparse
import json

from segreg.cli.output import print_table, warn
from segreg.kinds import KINDS
from segreg.registry import registry

_KIND_OF = {word: kind.name for kind in KINDS.values() for word in (kind.name, kind.plural)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("kind", nargs="?", help=f"{', '.join(kind.plural for kind in KINDS.values())}; by default all")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the components."""
    kind = _KIND_OF.get(arguments.kind.lower(), arguments.kind) if arguments.kind else None
    entries = registry().components(kind)
    if arguments.json:
        fields = [
            {
                "kind": entry.kind,
                "name": entry.key,
                "summary": entry.record.summary,
                "plugin": entry.plugin.distribution,
                "version": entry.plugin.version,
                "aliases": entry.record.aliases,
            }
            for entry in entries
        ]
        print(json.dumps(fields, indent=2))
    else:
        for each in KINDS:
            lines = [(entry.key, entry.record.summary, entry.plugin.origin) for entry in entries if entry.kind == each]
            if lines:
                print_table((each, "", "plugin"), lines)
    for plugin in registry().plugins:
        if plugin.error:
            warn(f"plugin {plugin.namespace!r} of {plugin.origin} cannot be used: {plugin.cause}")
    return 0
