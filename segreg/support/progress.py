"""What a person sees while a run is going on: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from segreg.errors import printable

Figures = Mapping[str, float]


class Display:
    """Shows how a run goes, on standard error. Used as a context manager.

    Args:
        quiet: Show nothing but notes.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._bar = Progress(
            # Without markup: brackets in a label are a list.
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, figures="")

    def __enter__(self) -> Self:
        """Start the live bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live bar away."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """Say something that stays."""
        self.console.print(Text(printable(text)))

    def line(self, text: str) -> None:
        """Say something that stays, unless quiet."""
        if not self._quiet:
            self.note(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how many images are done, of something that is done before or after the epochs."""
        self._bar.update(self._task, description=what, completed=done, total=total, figures=f"{done}/{total}")

    def training(self, label: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Show how far a run is."""
        self._bar.update(
            self._task,
            description=f"{printable(label)}  epoch {epoch}/{epochs}",
            completed=(epoch - 1) * steps + step,
            total=epochs * steps,
        )

    def epoch(self, row: Figures, epochs: int, best: bool) -> None:
        """Show the figures of an epoch that is over."""
        shown = [
            f"{name} {value:.4f}"
            for name, value in row.items()
            if name not in ("epoch", "lr", "seconds", "images_per_second")
        ]
        figures = f"{row['images_per_second']:.1f} images/s"
        self._bar.update(self._task, figures=f"{shown[-1]}  {figures}")
        self.line(f"epoch {row['epoch']:>3.0f}/{epochs}  {'  '.join(shown)}  {figures}{'  best' if best else ''}")
