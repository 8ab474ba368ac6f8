"""How often a run of a study was tried, and why it failed."""

import json
from contextlib import suppress

from segreg.errors import RunError
from segreg.runs.run import Run
from segreg.support.files import read_json, read_text, reading, write_text, writing
from segreg.training.checkpoint import checkpoint_path

TRIES = 3
"""How often a run that fails, or kills its process, is tried before it needs attention."""


def failure_of(run: Run) -> str:
    """Why a run failed, in one line; an empty text if it did not."""
    path = run.path / "failed.txt"
    if run.finished or not path.exists():
        return ""
    try:
        with reading(path, "the reason of a failure"):
            return read_text(path).splitlines()[0]
    except RunError:
        return "reason unknown: failed.txt is damaged"


def may_try(run: Run, force: bool) -> bool:
    """Whether a run has been tried fewer than three times since its last checkpoint; if so, count this try.

    It is counted before it starts, since it may kill the process.
    """
    path, checkpoint = run.path / "tries.json", checkpoint_path(run)
    written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    tries = 0
    if path.exists() and not force:
        # Anything that was not written below is ignored.
        with suppress(RunError), reading(path, "a number of tries"):
            earlier = read_json(path, "a number of tries")
            tries = int(earlier["tries"]) if earlier["checkpoint"] == written else 0
    if tries >= TRIES:
        if not (run.path / "failed.txt").exists():
            when = "since its last checkpoint" if written else "before its first checkpoint"
            by = "by the system if memory ran out, else by a time limit or by hand"
            write_failure(run, f"its process was killed {tries} times {when}, {by}", "")
        return False
    with writing(run.path):
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / "failed.txt").unlink(missing_ok=True)
    write_text(path, json.dumps({"tries": tries + 1, "checkpoint": written}))
    return True


def forget_tries(run: Run) -> None:
    """Start counting again."""
    (run.path / "tries.json").unlink(missing_ok=True)


def write_failure(run: Run, reason: str, details: str) -> None:
    """Write down why a run failed: a line, and what a developer wants to know."""
    write_text(run.path / "failed.txt", f"{reason}\n\n{details}")
