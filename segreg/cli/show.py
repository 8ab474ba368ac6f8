"""`segreg show`: all about one component."""

import argparse
import json
from typing import Any

from segreg.cli.output import print_table, show
from segreg.errors import UnknownNameError
from segreg.options import REQUIRED
from segreg.registry import Description, build, registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("name", help="a component's name, such as unet")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show every component of that name: a loss and a metric may share one."""
    name, known = arguments.name, registry()
    found = known.named(name)
    if not found:
        raise UnknownNameError(f"unknown component {name!r}{known.suggestion(name)}; see `segreg list`")
    descriptions = [known.describe(entry.kind, entry.key) for entry in found]
    if arguments.json:
        # A plugin's default may be anything: what JSON has no word for is written as text.
        print(json.dumps([_fields(description) for description in descriptions], indent=2, default=str))
        return 0
    for description in descriptions:
        entry = description.entry
        show(f"{entry.kind} {entry.key}, from {entry.plugin.origin}\n\n{description.docstring}\n")
        print_table(
            ("option", "type", "default", "meaning"),
            [
                (
                    option.name,
                    option.type_name,
                    "required" if option.default is REQUIRED else repr(option.default),
                    option.meaning,
                )
                for option in description.options.values()
            ],
        )
        parameters = _parameters(description)
        if parameters is not None:
            print(f"parameters: {parameters:,} with these defaults")
        if entry.record.reference:
            show(f"reference: {entry.record.reference}")
    return 0


def _parameters(description: Description) -> int | None:
    """Return the number of parameters; None for other kinds, and for a model that has an option without a default."""
    required = any(option.default is REQUIRED for option in description.options.values())
    if description.entry.kind != "architecture" or required:
        return None
    from segreg.nn.meta import without_values

    with without_values():
        model = build(description.entry.key)
    return sum(parameter.numel() for parameter in model.parameters())


def _fields(description: Description) -> dict[str, Any]:
    entry = description.entry
    return {
        "kind": entry.kind,
        "name": entry.key,
        "plugin": entry.plugin.distribution,
        "version": entry.plugin.version,
        "summary": entry.record.summary,
        "reference": entry.reference(),
        "options": {
            option.name: {
                "type": option.type_name,
                "required": option.default is REQUIRED,
                "default": None if option.default is REQUIRED else option.default,
                "meaning": option.meaning,
            }
            for option in description.options.values()
        },
        **({"parameters": _parameters(description)} if entry.kind == "architecture" else {}),
    }
