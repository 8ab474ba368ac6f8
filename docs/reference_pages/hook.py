"""MkDocs hooks: add a page for each of segreg's own components to the site, with its plots."""

from functools import cache

from drawings import drawings
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pages import TITLES, check_blocks, component_page, components, overview_table, page_path, record_blocks

_OVERVIEW = "reference/components.md"


def on_config(config: MkDocsConfig) -> None:
    """Add the pages to the navigation, below the overview."""
    for section in config.nav or []:
        for entry in section.get("Reference", []) if isinstance(section, dict) else []:
            if entry == {"Components": _OVERVIEW}:
                entry["Components"] = [
                    _OVERVIEW,
                    *(
                        {title: [{each.key: f"reference/{page_path(each)}.md"} for each in components(kind)]}
                        for kind, title in TITLES.items()
                    ),
                ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages and their plots."""
    for path, content in _generated().items():
        files.append(File.generated(config, f"reference/{path}", content=content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert what is generated for each kind of component: the tables of the overview, the records and the checks."""
    parts = {f"<!-- table: {kind} -->": lambda kind=kind: overview_table(kind) for kind in TITLES}
    parts |= {"<!-- records -->": record_blocks, "<!-- checks -->": check_blocks}
    for mark, made in parts.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return markdown


@cache
def _generated() -> dict[str, str | bytes]:
    """Generate the pages and plots, by their path below `reference/`; only once while the site is served."""
    made: dict[str, str | bytes] = {}
    for kind in TITLES:
        for entry in components(kind):
            drawn = {f"{page_path(entry)}-{name}": drawing for name, drawing in drawings(entry).items()}
            made |= {path: drawing.content for path, drawing in drawn.items()}
            made[f"{page_path(entry)}.md"] = component_page(entry, {path: each.caption for path, each in drawn.items()})
    return made
