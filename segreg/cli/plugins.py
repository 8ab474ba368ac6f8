"""`segreg plugins`: the installed plugins, and whether they work."""

import argparse
import json
import traceback

from segreg.cli.output import print_table, show
from segreg.errors import counted
from segreg.registry import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("-v", "--verbose", action="store_true", help="print the traceback of each failure")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the plugins."""
    # Reading its entries imports a plugin, and so shows whether it works.
    found = [(plugin, len(plugin.entries)) for plugin in registry().plugins]
    if arguments.json:
        fields = [
            {
                "namespace": plugin.namespace,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "components": count,
                "disabled": plugin.disabled,
                "problem": plugin.cause or None,
            }
            for plugin, count in found
        ]
        print(json.dumps(fields, indent=2))
        return 0
    print_table(
        ("namespace", "distribution", ""),
        [(plugin.namespace, plugin.origin, plugin.cause or counted(count, "component")) for plugin, count in found],
    )
    if arguments.verbose:
        for plugin, _ in found:
            if plugin.error:
                show(f"--- {plugin.origin}\n{''.join(traceback.format_exception(plugin.error))}")
    return 0
