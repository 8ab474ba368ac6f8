"""`segreg plugins`: who brought what, and what became of it."""

import argparse
import json
import traceback

from segreg.cli.output import print_table
from segreg.registry import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("-v", "--verbose", action="store_true", help="print the traceback of each failure")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the plugins."""
    # The look at its entries is what imports a plugin, and so what shows whether it works.
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
        [(plugin.namespace, plugin.origin, plugin.cause or _counted(count)) for plugin, count in found],
    )
    if arguments.verbose:
        for plugin, _ in found:
            if plugin.error:
                print(f"--- {plugin.origin}\n{''.join(traceback.format_exception(plugin.error))}")
    return 0


def _counted(count: int) -> str:
    return f"{count} component{'' if count == 1 else 's'}"
