"""Finds the weights of a run, however it is given."""

from pathlib import Path

from segreg.errors import RunError, did_you_mean
from segreg.runs.run import Run


def weights_of(source: str | Path | Run) -> Path:
    """Return the weights file, given a run, its directory, or the file itself.

    Raises:
        RunError: it does not exist.
    """
    path = source.path if isinstance(source, Run) else Path(source)
    if not path.exists():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RunError(
            f"{path} does not exist{did_you_mean(path.name, siblings)}: give the directory of a run, or a "
            "model.safetensors"
        )
    if not path.is_dir():
        return path
    weights = path / "model.safetensors"
    if not weights.exists():
        raise RunError(
            f"{path} holds no model.safetensors{_instead(path)}: give the directory of a run that was trained"
        )
    return weights


def _instead(path: Path) -> str:
    """Name a run inside a directory that is not a run itself."""
    if (path / "study.toml").exists():
        return f"; it is a study, with its runs in {path / 'runs'}: segreg compare prints which one is best"
    inside = sorted(each.parent for each in path.glob("*/model.safetensors"))
    return f", but {inside[0]} does" if inside else ""
