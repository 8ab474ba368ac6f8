"""What the user sees during a run."""

import re

import pytest

from segreg.support.progress import Display

SCORES = {"train_loss": 0.5, "valid_iou": 0.75}


def run_through(display: Display) -> None:
    with display:
        display.line("a line")
        display.progress("reading train", 3, 4)
        display.training("unet · bce", 1, 2, 5, 10)
        display.epoch(1, 2, SCORES, 12.34, best=True)
        display.training("unet · bce", 2, 2, 1, 10)
        display.note("a [bold]note[/bold]")


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run_through(Display())
    assert capsys.readouterr() == (
        "",
        "a line\nepoch   1/2  train_loss 0.5000  valid_iou 0.7500  12.3 images/s  best\na [bold]note[/bold]\n",
    )


def test_quiet_keeps_the_notes(capsys: pytest.CaptureFixture[str]) -> None:
    run_through(Display(quiet=True))
    assert capsys.readouterr() == ("", "a [bold]note[/bold]\n")


def test_on_a_terminal_a_bar_shows_progress_with_metric_speed_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    run_through(Display())
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    bar = [line for line in shown.splitlines() if "epoch 2/2" in line][-1]
    assert bar.startswith("unet · bce  epoch 2/2 ")
    assert "valid_iou 0.7500  12.3 images/s" in bar
    assert re.search(r"(--|\d\d):\d\d", bar)
    assert "a line" in shown


def test_a_label_is_not_markup_and_injects_no_escape_sequences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Display() as display:
        display.training('a:x=[sky,road],y="[/b]"\x1b]0;owned\x07', 1, 2, 5, 10)
        display.note("a\x1b]0;owned\x07 note")
    shown = capsys.readouterr().err
    assert 'a:x=[sky,road],y="[/b]"' in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert r"a\x1b]0;owned\x07 note" in shown
    assert "\x1b]" not in shown
