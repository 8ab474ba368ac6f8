"""The command `segreg`: its verbs, and how errors are reported."""

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from segreg.cli.output import show, warn
from segreg.errors import SegregError, did_you_mean, printable

_VERBS = {
    "list": "list the installed components",
    "show": "show a component's options, with types, defaults and meanings",
    "plugins": "list the installed plugins, including broken ones",
    "new-plugin": "write a small plugin to start from",
    "check": "run the conformance checks on plugins and components",
    "train": "train a model and keep its best weights",
    "compare": "train every combination of models, losses and training recipes, and report them side by side",
    "evaluate": "score a trained model, or two against each other, on images with masks",
    "predict": "write masks for images, with a trained model",
    "export": "write a trained model as a file that runs without segreg: ONNX, or a program of torch.export",
    "bench": "time models on this machine, against each other and against their convolutions",
}


class Parser(argparse.ArgumentParser):
    """A parser that knows no abbreviations and reports a mistake in one line, with the nearest valid choice."""

    def __init__(self, verb: str = "") -> None:
        super().__init__(prog=f"segreg {verb}".strip(), description=_VERBS.get(verb), allow_abbrev=False)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Read the command line, or exit with status 2."""
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            known = [option for action in self._actions for option in action.option_strings]
            word = unknown[0].partition("=")[0]
            self.error(f"unknown argument {word!r}{did_you_mean(word, known)}")
        return arguments

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"segreg: {message}: see `{self.prog} --help`\n")


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line. Exit status: 0 success, 1 a run failed, 2 a usage error, 130 interrupted."""
    words = sys.argv[1:] if words is None else words
    # Not every encoding has every character of a plugin's summary.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run(words))
    except SegregError as error:
        warn(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the output is gone, as with `| head`; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    # A directory without write permission, a full disk: the message names the file.
    except OSError as error:
        warn(printable(str(error)))
        sys.exit(2)
    except SystemExit as error:
        # Python would print a plugin's message as it is.
        if isinstance(error.code, str):
            warn(error.code)
            sys.exit(1)
        raise
    # A fault of segreg or of a plugin, whose Rust code may panic.
    except BaseException as error:
        if str(error) == "can't start new thread":
            warn("the system allows no more threads: end other processes, or raise the limit (ulimit -u)")
            sys.exit(2)
        show(traceback.format_exc(), sys.stderr)
        sys.exit(1)


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, _VERBS))
        verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in _VERBS.items())
        print(f"usage: segreg VERB ...\n\n{verbs}\n\n`segreg VERB --help` shows its options.")
        return 0
    verb, *rest = words
    if verb == "--version":
        from importlib.metadata import version

        print(f"segreg {version('segreg')}")
        return 0
    if verb not in _VERBS:
        Parser().error(f"unknown command {verb!r}{did_you_mean(verb, _VERBS)}; available: {', '.join(_VERBS)}")
    # A verb is imported when it is needed, so that `segreg list` does not wait for torch.
    module = importlib.import_module(f"segreg.cli.{verb.replace('-', '_')}")
    parser = Parser(verb)
    module.add_arguments(parser)
    status: int = module.run(parser.parse(rest))
    return status
