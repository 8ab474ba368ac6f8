"""Plugins that are broken or rude, each in its own way, and how segreg must report it."""

from pathlib import Path

import attrs

from tests.end_to_end.environment import write_wheel

VERSION = "2.7"

HEAD = "from segreg import Architecture, hookimpl\n"
RECORD = "Architecture(name='model', target='segreg.builtins.architectures.unet:UNet', summary='A model')"


def hook(body: str, declaration: str = "segreg_architectures()", before: str = "") -> str:
    """A module whose only hook has the given body."""
    return f"{HEAD}{before}\n\n@hookimpl\ndef {declaration}:\n    {body}\n"


SOUND = hook(f"return [{RECORD}]")


@attrs.frozen
class Hostile:
    """A distribution.

    Args:
        source: Its hook module.
        cause: How segreg's report on it begins; empty if there is nothing to report.
        namespace: What it claims; by default its name.
        value: The value of its entry point; by default its hook module.
        groups: The groups that have its entry point.
    """

    source: str
    cause: str = ""
    namespace: str = ""
    value: str = ""
    groups: tuple[str, ...] = ("segreg.v1",)


CASES = {
    "import-error": Hostile("import module_that_is_not_there", "ModuleNotFoundError: No module named 'module_that_is"),
    "syntax-error": Hostile("def broken(:\n    pass", "SyntaxError: invalid syntax"),
    "exit": Hostile("import sys\nsys.exit('bye')", "SystemExit: bye"),
    "endless-recursion": Hostile("def f():\n    f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    "endless-import": Hostile(
        "import importlib, sys\ndel sys.modules[__name__]\nimportlib.import_module(__name__)", "RecursionError: maximum"
    ),
    "base-exception": Hostile(
        "class Panic(BaseException):\n    pass\nraise Panic('called `unwrap()` on a `None`')",
        "Panic: called `unwrap()` on a `None`",
    ),
    "generator-exit": Hostile("raise GeneratorExit", "GeneratorExit"),
    "message-that-fails": Hostile(
        "class Silent(Exception):\n    def __str__(self):\n        return 1 / 0\nraise Silent",
        "Silent: its message cannot be read",
    ),
    "message-of-many-lines": Hostile("raise ValueError('line\\n\\u2028' * 100_000)", "ValueError: line line line"),
    "message-in-unicode": Hostile("raise ValueError('größer als ☃')", "ValueError: größer als ☃"),
    "argument": Hostile(
        hook("return []", "segreg_architectures(config)"),
        "PluginValidationError: Plugin 'argument' for hook 'segreg_architectures'",
    ),
    "misspelt-hook": Hostile(
        hook("return []", "segreg_architecture()"), "PluginValidationError: unknown hook 'segreg_architecture'"
    ),
    "bad-field": Hostile(
        hook(f"return [{RECORD[:-1]}, min_size=0)]"),
        "Architecture 'model': min_size is 0: expected a whole number from 1 up",
    ),
    "misspelt-field": Hostile(
        hook(f"return [{RECORD[:-1]}, alias=())]"),
        "TypeError: Architecture.__init__() got an unexpected keyword argument 'alias'",
    ),
    "fails-half-way": Hostile(hook(f"yield {RECORD}\n    yield 1 / 0"), "ZeroDivisionError: division by zero"),
    "endless-hook": Hostile(
        hook(f"while True:\n        yield {RECORD}"), "segreg_architectures declares the name 'model' twice"
    ),
    "exits-in-its-hook": Hostile(hook("raise SystemExit(1)"), "SystemExit: 1"),
    "empty": Hostile("", "empty has no function marked with segreg.hookimpl"),
    "no-module": Hostile(SOUND, "its entry point no-module = not a module! must name a module", value="not a module!"),
    "no-attribute": Hostile(
        SOUND, "AttributeError: module 'no_attribute' has no attribute 'plugin'", value="no_attribute:plugin"
    ),
    "newer": Hostile(
        SOUND, "it is written for segreg.v2, but this segreg supports segreg.v1: update segreg", groups=("segreg.v2",)
    ),
    "unicode": Hostile(SOUND, "the namespace 'größe' must be letters and digits", namespace="größe"),
    "imposter": Hostile(SOUND, "the namespace 'segreg' is segreg's own: rename the entry point", namespace="segreg"),
    "first": Hostile(SOUND, "the namespace 'shared' is also claimed by second 2.7: uninstall one", namespace="shared"),
    "second": Hostile(SOUND, "the namespace 'shared' is also claimed by first 2.7: uninstall one", namespace="Shared"),
    # The rest work, and must leave no trace.
    "old-and-new": Hostile(SOUND, groups=("segreg.v1", "segreg.v2", "segreg.v3")),
    "prints": Hostile(hook(f"print('hook'); return [{RECORD}]", before="print('module')\n")),
    "takes-the-streams": Hostile(
        hook(f"return [{RECORD}]", before="import os, sys\nsys.stdout = sys.stderr = open(os.devnull, 'w')\n")
    ),
    "changes-the-environment": Hostile(
        hook(f"return [{RECORD}]", before="import os\nos.environ['SEGREG_DISABLE_PLUGINS'] = '*'\n")
    ),
    "targets": Hostile(
        HEAD
        + """
@hookimpl
def segreg_architectures():
    return [Architecture(name=name.replace("_", "-"), target=target, summary="A model") for name, target in {
        "model": "segreg.builtins.architectures.unet:UNet",
        "no_module": "module_that_is_not_there:Model",
        "no_class": "targets:Missing",
        "panics": "base_exception:Model",
        "exits": "exit:Model",
    }.items()]
"""
    ),
}


def write(folder: Path) -> list[Path]:
    """Write the wheels of all of them."""
    return [
        write_wheel(
            folder,
            name,
            {f"{name.replace('-', '_')}.py": case.source},
            namespace=case.namespace or name,
            value=case.value or name.replace("-", "_"),
            groups=case.groups,
            version=VERSION,
        )
        for name, case in CASES.items()
    ]
