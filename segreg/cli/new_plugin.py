"""`segreg new-plugin`: a small plugin to start from."""

import argparse
import re
from importlib.resources import files
from pathlib import Path

from segreg.errors import OptionError, RunError
from segreg.registry import registry
from segreg.specs import NAME, normalize

SCAFFOLD = Path(str(files("segreg"))) / "scaffold"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("name", help="namespace of the plugin: its components are called NAME/...")
    parser.add_argument("--out", type=Path, help="directory to create. Default: segreg-NAME")


def run(arguments: argparse.Namespace) -> int:
    """Write the plugin."""
    name = _checked(arguments.name)
    out = arguments.out or Path(f"segreg-{name}")
    if out.exists():
        raise RunError(f"{out} exists already: choose another --out")
    for source in sorted(path for path in SCAFFOLD.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        written = out / _renamed(str(source.relative_to(SCAFFOLD)), name)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(_renamed(source.read_text(encoding="utf-8"), name), encoding="utf-8", newline="\n")
        print(written)
    print(f"\nnext: pip install -e {out}, then `segreg list` shows it and `segreg check {name}` checks it")
    return 0


def _checked(name: str) -> str:
    """Return the name in its normal form, or raise an error that suggests a better one."""
    taken = {plugin.namespace: plugin.origin for plugin in registry().plugins}
    good = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removeprefix("segreg-") or "plugin"
    free = good
    while free in taken or free == "plugin":
        free = f"my-{free}"
    if not NAME.fullmatch(normalize(name)) or normalize(name) != good:
        raise OptionError(
            f"{name!r} is not a valid plugin name: use lower-case letters and digits, in words joined by -, such as "
            f"{free!r}"
        )
    if good in taken:
        raise OptionError(f"plugin name {good!r} is taken by {taken[good]}, which is installed: try {free!r}")
    return good


def _renamed(text: str, name: str) -> str:
    # The scaffold is a working plugin called example; it uses the word for nothing else.
    package = f"segreg_{name.replace('-', '_')}"
    return re.sub("segreg_example|example", lambda found: name if found[0] == "example" else package, text)
