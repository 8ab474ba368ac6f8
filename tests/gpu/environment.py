"""Lets the checkout run where it is not installed, with the packages that it needs as wheels in `.whl/`."""

import atexit
import importlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections import deque
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / ".whl"


def prepare() -> list[str]:
    """Put the wheels and segreg on the path, of this process and of those it starts, and return what is missing.

    Returns:
        One line per package that is missing or too old, then one with the command that fetches them; empty if none is.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = Path(tempfile.mkdtemp(prefix="segreg-site-"))
    atexit.register(shutil.rmtree, site, ignore_errors=True)
    for wheel in sorted(WHEELS.glob("*.whl")):
        if _helps(wheel):
            zipfile.ZipFile(wheel).extractall(site)
    # segreg finds its own components by the entry points of an installed distribution. What is installed may be older
    # than the checkout; of two distributions of one name, the first on the path counts.
    _write_metadata(site / f"segreg-{project['version']}.dist-info", project)
    sys.path[:0] = [str(site), str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    importlib.invalidate_caches()
    wanting = _wanting(map(Requirement, project["dependencies"]))
    return [*wanting.values(), _download(wanting)] if wanting else []


def _installed(name: str) -> Version | None:
    try:
        return Version(version(name))
    except PackageNotFoundError:
        return None


def _helps(wheel: Path) -> bool:
    """Whether a wheel fits this Python, and its package is not installed, or only in an older version."""
    name, brought, _, tags = parse_wheel_filename(wheel.name)
    here = _installed(name)
    return not tags.isdisjoint(sys_tags()) and (here is None or here < brought)


def _write_metadata(folder: Path, project: Mapping[str, Any]) -> None:
    folder.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (folder / "METADATA").write_text(head, encoding="utf-8")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _wanting(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Return what is missing or too old by name, with a line on it, including the requirements of the wheels."""
    environment = {**{name: str(value) for name, value in default_environment().items()}, "extra": ""}
    wanting: dict[str, str] = {}
    # segreg's own needs come first, since they are the ones with the bounds that matter.
    queue, seen = deque(requirements), set[str]()
    while queue:
        each = queue.popleft()
        name = canonicalize_name(each.name)
        if name in seen or (each.marker and not each.marker.evaluate(environment)):
            continue
        seen.add(name)
        here = _installed(name)
        if here is None:
            wanting[name] = f"missing: {each}"
        elif not each.specifier.contains(here, prereleases=True):
            wanting[name] = f"{name} is {here}, where {each} is needed"
        # The requirements of torch depend on its source, and it reports itself what is missing.
        elif name != "torch":
            queue.extend(map(Requirement, distribution(name).requires or ()))
    return wanting


def _download(names: Iterable[str]) -> str:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    platforms = " ".join(
        f"--platform {tag}"
        for tag in dict.fromkeys(tag.platform for tag in sys_tags())
        if re.fullmatch(r"(manylinux(2014|_2_17|_2_28)|macosx_1[14]_0|win)_.*", tag)
    )
    return (
        "where there is a network, in the root of the repository, for these and for what they need in turn: "
        "pip download --no-deps --only-binary=:all: "
        f"--python-version {python} {platforms} -d .whl {' '.join(names)}"
    )
