"""The reference page of a component, as Markdown: from its record, its signature and its docstring."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from segreg.kinds import KINDS
from segreg.options import REQUIRED, Option
from segreg.plugins import Entry, imported
from segreg.registry import registry
from segreg.specs import Architecture, Dataset

TITLES: Mapping[str, str] = {kind.name: kind.plural.capitalize() for kind in KINDS.values()}
_SECTION = re.compile(r"^(Args|Formula|Shapes|Raises|Reference):[ \n]", re.MULTILINE)
_THROUGHPUT = Path(__file__).parents[1] / "assets" / "throughput.json"
_CALLS: Mapping[str, str] = {
    "architecture": 'model = segreg.build("{}", in_channels=3, num_classes=1)',
    "loss": 'loss = segreg.loss("{}")',
    "metric": 'metric = segreg.metric("{}", num_classes=1)',
    "dataset": 'data = segreg.dataset("{}"{})',
    "augmentation": 'augmentation = segreg.augmentation("{}")',
    "optimizer": 'model = segreg.build("unet")\noptimizer = segreg.optimizer("{}", model.parameters())',
    "schedule": 'schedule = segreg.schedule("{}")\nfactors = [schedule(step, 1000) for step in range(1000)]',
}


def components(kind: str) -> list[Entry]:
    """Return segreg's own components of a kind."""
    return [entry for entry in registry().components(kind) if entry.plugin.builtin]


def page_path(entry: Entry) -> str:
    """Return the path of a component's page, below `reference/` and without a suffix."""
    return f"{KINDS[entry.kind].plural}/{entry.key}"


def overview_table(kind: str) -> str:
    """Return a table of the components of a kind, with links to their pages."""
    rows = [f"| [`{entry.key}`]({page_path(entry)}.md) | {entry.record.summary} |" for entry in components(kind)]
    return "\n".join(["| name | what |", "|---|---|", *rows])


def record_blocks() -> str:
    """Return the directives that mkdocstrings replaces with the docstrings of all records."""
    return "\n".join(f"::: segreg.specs.{kind.record.__name__}" for kind in KINDS.values())


def check_blocks() -> str:
    """Return the directives that mkdocstrings replaces with the checks of each kind, one heading per kind."""
    options = "{show_root_heading: false, heading_level: 4, members_order: source, show_signature: false}"
    return "\n\n".join(
        f"### For {'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}\n\n"
        f"::: segreg.testing.{kind.plural}\n    options: {options}"
        for kind in KINDS.values()
    )


def component_page(entry: Entry, drawings: Mapping[str, str]) -> str:
    """Return the page of a component, with its drawings as paths with captions."""
    described = registry().describe(entry.kind, entry.key)
    about, *rest = _SECTION.split(described.docstring)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    parts = [
        f"# `{entry.key}`",
        about.strip(),
    ]
    if entry.record.options:
        presets = ",".join(f"{name}={value}" for name, value in entry.record.options.items())
        base = next(each for each in components(entry.kind) if each.record.target == entry.record.target)
        parts.insert(1, f"{entry.record.summary}: [`{base.key}`]({base.key}.md) with `{presets}`.")
    if entry.record.aliases:
        parts.append(f"Also called {', '.join(f'`{alias}`' for alias in entry.record.aliases)}.")
    if "Formula" in sections:
        parts += ["## Formula", _block("text", _dedented(sections["Formula"]))]
    if drawings:
        parts.append("## What it looks like" if entry.kind == "dataset" else "## What it does")
        figures = "\n\n".join(_figure(path, caption) for path, caption in drawings.items())
        parts.append(f'<div class="grid" markdown>\n\n{figures}\n\n</div>' if len(drawings) > 1 else figures)
    if isinstance(entry.record, Dataset) and entry.record.example:
        parts += ["## Folder layout", _block("text", _layout(entry.record.example))]
    parts += ["## Options", _options(described.options) if described.options else "None."]
    parts += ["## Use", _use(entry)]
    if "Shapes" in sections:
        parts += ["## Shapes", _block("text", _dedented(sections["Shapes"]).removesuffix(".").replace(";  ", "\n"))]
    if isinstance(entry.record, Architecture):
        parts += _throughput(entry)
    if "Raises" in sections:
        parts += ["## Errors", _dedented(sections["Raises"])]
    if entry.reference():
        parts += ["## Reference", _linked(entry.reference())]
    if entry.kind == "dataset":
        parts.append("The guide on [data](../../guides/data.md) explains where to get it and which masks are accepted.")
    return "\n\n".join(parts) + "\n"


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _figure(path: str, caption: str) -> str:
    name = Path(path).name
    return f'<figure markdown="span">\n![{caption}]({name})\n<figcaption>{caption}</figcaption>\n</figure>'


def _options(options: Mapping[str, Option]) -> str:
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for option in options.values():
        default = "required" if option.default is REQUIRED else f"`{_short(option.default)}`"
        rows.append(f"| `{option.name}` | `{option.type_name}` | {default} | {option.meaning} |")
    return "\n".join(rows)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _use(entry: Entry) -> str:
    root = ', root="..."' if isinstance(entry.record, Dataset) and entry.record.example else ""
    shown = _block("bash", f"segreg show {entry.key}")
    if entry.kind not in _CALLS:
        return shown
    return _block("python", "import segreg\n\n" + _CALLS[entry.kind].format(entry.key, root)) + "\n\n" + shown


def _layout(example: str) -> str:
    """Return the tree of files that the dataset's own example writes."""
    with tempfile.TemporaryDirectory() as folder:
        imported(example)(Path(folder))
        return "\n".join(_tree(Path(folder)))


def _tree(folder: Path, maximum: int = 3) -> list[str]:
    lines = []
    found = sorted(folder.iterdir())
    folders, files = [each for each in found if each.is_dir()], [each for each in found if each.is_file()]
    # With more than six folders, only the first one is shown.
    for each in folders if len(folders) <= 6 else folders[:1]:
        lines += [f"{each.name}/", *(f"  {line}" for line in _tree(each, maximum))]
    lines += ["..."] if len(folders) > 6 else []
    lines += [each.name for each in files[: maximum - 1]] + (["..."] if len(files) >= maximum else [])
    return lines


def _throughput(entry: Entry) -> list[str]:
    measured = json.loads(_THROUGHPUT.read_text(encoding="utf-8"))
    timings = next((each for each in measured["timings"] if each["model"] == entry.key), None)
    if timings is None:
        return []
    milliseconds, spread = timings["milliseconds"]
    return [
        "## Throughput",
        f"| images/s | ms/batch of {timings['batch']} | GFLOP/s | % of conv. peak | peak MB "
        "| parameters |\n"
        "|---|---|---|---|---|---|\n"
        f"| {timings['images_per_second']:.3g} | {milliseconds:.0f} ± {spread / 2:.0f} | {timings['gflops']:.0f} "
        f"| {timings['of_convolutions'][0]:.0%} | {timings['megabytes']:.0f} | {timings['parameters']:,} |",
        f"Predictions at {timings['size']}×{timings['size']} with `{measured['command']}`, on {measured['machine']}, "
        f"{measured['date']}. [Performance](../../performance.md) explains the columns.",
    ]


def _linked(text: str) -> str:
    text = re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", " ".join(text.split()))
    return re.sub(r"(?<![(\w])(https?://[^\s;]+)", r"<\1>", text)
