"""Separate environments, and real wheels to install in them."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Environment:
    """A virtual environment with the dependencies of segreg, but neither segreg nor a plugin of it."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> "Environment":
        """Create one. It borrows the dependencies from the environment that the tests run in."""
        environment = cls(path / "venv")
        venv.create(environment.path, symlinks=True)
        borrowed = path / "borrowed"
        borrowed.mkdir()
        for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for each in Path(folder).iterdir():
                if not each.name.startswith(("segreg", "__editable__", "__pycache__")):
                    (borrowed / each.name).symlink_to(each)
        (environment.site_packages / "borrowed.pth").write_text(f"{borrowed}\n")
        return environment

    @property
    def site_packages(self) -> Path:
        """Where pip installs to."""
        [folder] = self.path.glob("lib/python*/site-packages")
        return folder

    def install(self, *wheels: Path) -> None:
        """Install wheels, all at once and without their dependencies."""
        pip("--python", str(self.path), "install", "--no-deps", *map(str, wheels))

    def uninstall(self, *distributions: str) -> None:
        """Uninstall distributions."""
        pip("--python", str(self.path), "uninstall", "--yes", *distributions)

    def files(self) -> list[str]:
        """Everything that is in the environment."""
        return sorted(str(each.relative_to(self.path)) for each in self.path.rglob("*"))

    def python(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run its Python, with environment variables."""
        return run(str(self.path / "bin" / "python"), *words, cwd=self.path.parent, **variables)

    def segreg(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command `segreg` there, with environment variables."""
        return run(str(self.path / "bin" / "segreg"), *words, cwd=self.path.parent, **variables)


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with only the given variables influencing Python, pip or segreg."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "SEGREG_"))}
    fixed = {"PYTHONUTF8": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment = {**kept, **fixed, **variables}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False)


def pip(*words: str) -> None:
    """Run the pip of the tests' environment."""
    # Installing and building need no index: nothing is fetched.
    done = run(sys.executable, "-m", "pip", "--quiet", "--no-input", *words, cwd=ROOT.parent, PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr


def build_wheel(project: Path, package: str, folder: Path) -> Path:
    """Build the wheel of a project, from a copy, so that the checkout is unchanged."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (project / name).exists():
            shutil.copy(project / name, source)
    shutil.copytree(project / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    [wheel] = folder.glob("*.whl")
    return wheel


def write_wheel(
    folder: Path,
    distribution: str,
    files: Mapping[str, str],
    *,
    namespace: str,
    value: str,
    groups: Iterable[str] = ("segreg.v1",),
    version: str = "1.0",
) -> Path:
    """Write a wheel whose entry point, in each of the groups, is `namespace = value`."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    contents = {
        **files,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": "".join(f"[{group}]\n{namespace} = {value}\n" for group in groups),
    }
    record = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in contents.items()]
    contents[f"{stem}.dist-info/RECORD"] = "\n".join([*record, f"{stem}.dist-info/RECORD,,", ""])
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
