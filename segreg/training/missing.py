"""What a run's files say of a plugin that is not installed here."""

import re
from pathlib import Path

from segreg.errors import PluginError

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+")


def missing_plugin(file: Path, name: str, distribution: str, version: str) -> PluginError:
    """Return the error for a component that no installed plugin brings, with the version that the file names."""
    # The file may come from anybody: what is no name of a distribution must not end up in somebody's shell.
    if not _DISTRIBUTION.fullmatch(distribution) or not _VERSION.fullmatch(version):
        return PluginError(f"{file} needs {name!r}, which is not installed, and does not say who brings it")
    return PluginError(
        f"{file} needs {name!r}, which is not installed; it was made with {distribution} {version}: "
        f"if you know and trust that, pip install {distribution}=={version}"
    )
