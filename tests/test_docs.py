"""The guide to plugins shows the files that `segreg new-plugin` writes, and no copies of them."""

import re
from pathlib import Path

from segreg.cli.new_plugin import SCAFFOLD

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "write-a-plugin.md"


def test_the_guide_shows_the_scaffold() -> None:
    # A marker that a formatter has touched is no marker any more, and the page would show it as it stands.
    shown = re.findall(r'^ *--8<-- "(.+)"$', GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    files = [path.relative_to(SCAFFOLD).as_posix() for path in SCAFFOLD.rglob("*.*") if path.suffix != ".pyc"]
    assert sorted([*shown, "README.md", "segreg_example/__init__.py"]) == sorted(files)
