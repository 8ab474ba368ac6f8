"""The shape of the source: how many parameters a function has, what modules are called, and which imports which."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import segreg
from segreg.registry import components

ROOT = Path(__file__).parents[1]
MOST_PARAMETERS = 6


def module_name(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources(package: Path) -> Iterator[tuple[str, ast.Module]]:
    """The modules of a package, each by its name."""
    for file in sorted(package.rglob("*.py")):
        yield module_name(file, package.parent), ast.parse(file.read_text(encoding="utf-8"))


def functions(node: ast.AST, where: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions and methods below a node, each by its module and qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from functions(child, f"{where}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{where}.{child.name}", child
            yield from functions(child, f"{where}.{child.name}.<locals>")
        else:
            yield from functions(child, where)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    declared = function.args
    every = [*declared.posonlyargs, *declared.args, *declared.kwonlyargs, declared.vararg, declared.kwarg]
    return [each.arg for each in every if each and each.arg not in ("self", "cls")]


def test_no_function_has_too_many_parameters() -> None:
    """Except constructors of components and public functions: their parameters are documented and given by name."""
    exported = (getattr(segreg, name) for name in segreg.__all__)
    public = {f"{each.__module__}.{each.__qualname__}" for each in exported if hasattr(each, "__qualname__")}
    targets = {entry.record.target.replace(":", ".") for entry in components()}

    def may_have_more(where: str) -> bool:
        owner, _, name = where.rpartition(".")
        method = owner in public and not name.startswith("_")
        return method or where in public | targets or (name == "__init__" and owner in public | targets)

    packages = [ROOT / "segreg", *ROOT.glob("plugins/*/segreg_*")]
    too_many = [
        f"{where} has {len(parameters(function))}"
        for package in packages
        for name, module in sources(package)
        for where, function in functions(module, name)
        if len(parameters(function)) > MOST_PARAMETERS and not may_have_more(where)
    ]
    assert not too_many, f"more than {MOST_PARAMETERS} parameters: {', '.join(too_many)}"


def test_nothing_in_the_package_has_the_name_of_a_public_function() -> None:
    """`import segreg.export.onnx` would replace `segreg.export` by a module."""
    public = {name for name in segreg.__all__ if not isinstance(getattr(segreg, name), type)}
    taken = {path.name for path in (ROOT / "segreg").iterdir() if path.stem in public}
    assert not taken, f"in segreg/, these hide the public functions of their names: {', '.join(sorted(taken))}"


def imported(node: ast.AST) -> Iterator[str]:
    """What the code below a node imports, in functions too, but not imports only for type checkers."""
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, f"line {node.lineno}: a relative import"
        # The name may be a module, or something in one.
        yield from (f"{node.module}.{each.name}" for each in node.names)
    else:
        unseen = node.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) else []
        for child in ast.iter_child_nodes(node):
            if child not in unseen:
                yield from imported(child)


def test_there_are_no_circular_imports() -> None:
    modules = dict(sources(ROOT / "segreg"))
    graph = {
        name: {found if found in modules else found.rpartition(".")[0] for found in imported(module)} & modules.keys()
        for name, module in modules.items()
    }
    assert sum(map(len, graph.values())) > len(graph)
    circle = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # it names what is imported before what imports it
    assert not circle, f"a circle of imports: {' → '.join(circle)}"


def of_one_name(found: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """What exists more than once, by name."""
    places: dict[str, list[str]] = {}
    for name, place in found:
        places.setdefault(name, []).append(place)
    return {name: each for name, each in places.items() if len(each) > 1}


def test_no_two_modules_have_the_same_name() -> None:
    """Except components, the verbs of the command line and the kit's files, which are named after their purpose."""
    apart = ("segreg.builtins.", "segreg.cli.", "segreg.testing.")
    names = [name for name, _ in sources(ROOT / "segreg") if not name.startswith(apart) and "scaffold" not in name]
    twice = of_one_name((name.rpartition(".")[2], name) for name in names)
    assert not twice


def test_no_two_public_classes_or_exported_functions_have_the_same_name() -> None:
    exported = {name for name in segreg.__all__ if not isinstance(getattr(segreg, name), type)}
    twice = of_one_name(
        (node.name, name)
        for name, module in sources(ROOT / "segreg")
        if "scaffold" not in name
        for node in module.body
        if (isinstance(node, ast.ClassDef) and not node.name.startswith("_"))
        or (isinstance(node, ast.FunctionDef) and node.name in exported)
    )
    assert not twice
