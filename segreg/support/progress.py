"""The progress of a run: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from segreg.errors import printable

Values = Mapping[str, float]


class Display:
    """Shows the progress of a run, on standard error. Used as a context manager.

    Args:
        quiet: Show only notes.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._bar = Progress(
            # Without markup: a label may contain brackets.
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[values]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, values="")

    def __enter__(self) -> Self:
        """Start the live bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the live bar."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(Text(printable(text)))

    def line(self, text: str) -> None:
        """Print a line that stays, unless quiet."""
        if not self._quiet:
            self.note(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how much is done of something before or after the epochs."""
        self._bar.update(self._task, description=printable(what), completed=done, total=total, values=f"{done}/{total}")

    def training(self, label: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Show how far a run is."""
        self._bar.update(
            self._task,
            description=f"{printable(label)}  epoch {epoch}/{epochs}",
            completed=(epoch - 1) * steps + step,
            total=epochs * steps,
        )

    def epoch(self, epoch: int, epochs: int, scores: Values, images_per_second: float, best: bool) -> None:
        """Show the losses and metrics of a finished epoch, and its speed."""
        shown = [f"{printable(name)} {value:.4f}" for name, value in scores.items()]
        speed = f"{images_per_second:.1f} images/s"
        self._bar.update(self._task, values=f"{shown[-1]}  {speed}")
        self.line(f"epoch {epoch:>3}/{epochs}  {'  '.join(shown)}  {speed}{'  best' if best else ''}")
