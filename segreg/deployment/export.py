"""A trained model as one file that runs without segreg: ONNX, or a program of torch.export."""

import json
import logging
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import attrs
import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from segreg.errors import OptionError, RunError, SegregError, did_you_mean
from segreg.expression import Expression
from segreg.nn.normalized import Normalization, Normalized, formula
from segreg.runs.locate import weights_of
from segreg.runs.model_file import About, read_model
from segreg.runs.run import Run
from segreg.support.files import replacing
from segreg.support.progress import Display

Format = Literal["onnx", "torch-export"]
Shape: TypeAlias = tuple[int, int, int, int]
Model: TypeAlias = Callable[[Tensor], Tensor]

TOLERANCE = 1e-3
"""How far the logits of a file may be from those of the model, as a share of the spread of the model's logits."""

METADATA = "segreg.json"
"""The name of the metadata among the extra files of a program of torch.export."""

_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
_DRAWS = 5


@attrs.frozen(kw_only=True)
class Exported:
    """An exported file, and how it compares with the model.

    Args:
        path: The file.
        metadata: The metadata in the file.
        shapes: Shapes of the random images that it was compared on, [B, C, H, W].
        difference: Maximum difference of a logit.
        share: The same as a share of the logits' spread; `TOLERANCE` is allowed.
        passed_over: Number of random batches that were redrawn, because the model chose otherwise between values that
            are equal except for rounding.
    """

    path: Path
    metadata: Mapping[str, Any]
    shapes: tuple[Shape, ...]
    difference: float
    share: float
    passed_over: int


def export(
    source: str | Path | Run,
    out: str | Path | None = None,
    *,
    format: Format = "onnx",  # noqa: A002
    normalization: bool = True,
    force: bool = False,
    quiet: bool = False,
) -> Exported:
    """Export a trained model as a file for production, and compare it with the model right away.

    The file maps `images`, float32 [B, C, H, W], to `logits`, float32 [B, K, H, W], for any batch, and for any height
    and width from the model's minimum size up. It is run on random images of three sizes, and is kept only if it gives
    what the model gives. It holds metadata: ONNX in its `metadata_props`, torch-export in the extra file `segreg.json`.

    Args:
        source: A run, its directory, or a `model.safetensors` that segreg wrote.
        out: The file; by default `model.onnx` or `model.pt2` beside the weights.
        format: `onnx`, or `torch-export` for `torch.export.load`.
        normalization: Whether the file normalises images itself. If not, its metadata say how to: images that are cut
            into tiles are normalised as a whole.
        force: Overwrite an existing file.
        quiet: Show no progress.

    Raises:
        OptionError: an option has an invalid value, or a library for ONNX is not installed.
        RunError: the model does not exist; the file exists or cannot be written; the model cannot be exported, or the
            exported file gives something else.
        PluginError: the plugin that the model came from is not installed, or broken.
    """
    if format not in _SUFFIXES:
        raise OptionError(
            f"format is {format!r}{did_you_mean(format, _SUFFIXES)}: expected {' or '.join(get_args(Format))}"
        )
    weights = weights_of(source)
    path = Path(out) if out else weights.with_suffix(_SUFFIXES[format])
    _check_path(path, format, force)
    model, about = read_model(weights)
    left = "none" if normalization else about.normalize
    if not normalization:
        model = Normalized(model.model, "none")
    with Display(quiet) as display, _one_line(about, format), _without_chatter():
        display.progress(f"{path.name}: tracing", 0, 3)
        program, minimum = _program(model.requires_grad_(False), about)
        display.progress(f"{path.name}: writing", 1, 3)
        metadata = _metadata(about, minimum, left)
        with replacing(path) as aside:
            _WRITE[format](program, aside, metadata)
            display.progress(f"{path.name}: comparing", 2, 3)
            shapes = _shapes(about.in_channels, minimum)
            difference, share, passed_over = _compared(model, _READ[format](aside), shapes)
    return Exported(
        path=path, metadata=metadata, shapes=shapes, difference=difference, share=share, passed_over=passed_over
    )


def _check_path(path: Path, format: Format, force: bool) -> None:  # noqa: A002
    """Report what is wrong with the file before the work rather than after it."""
    suffix = _SUFFIXES[format]
    if path.suffix != suffix or not path.parent.is_dir():
        raise OptionError(f"--out is {path}: expected a {suffix} file in an existing folder for {format}")
    if path.exists() and not force:
        raise RunError(f"{path} exists already: choose another --out, or overwrite it with --force")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]
    if format == "onnx" and missing:
        raise OptionError(f"format is 'onnx', which needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def _program(model: nn.Module, about: About) -> tuple[ExportedProgram, int]:
    """Trace the model, and return the program with the minimum height and width that it takes."""
    try:
        return _traced(model, about.in_channels, about.min_size), about.min_size
    # torch.export treats feature maps of a single pixel as a case of their own.
    except Exception:
        return _traced(model, about.in_channels, about.min_size + 1), about.min_size + 1


def _traced(model: nn.Module, channels: int, minimum: int) -> ExportedProgram:
    images = torch.zeros(2, channels, minimum + 2, minimum + 15)
    sizes = {0: Dim("batch"), 2: Dim("height", min=minimum), 3: Dim("width", min=minimum)}
    with torch.no_grad():
        program = torch.export.export(model, (images,), dynamic_shapes={"images": sizes})
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                # It contains paths of this machine.
                node.meta.pop("stack_trace", None)
    return program


def _metadata(about: About, minimum: int, normalize: Normalization) -> dict[str, Any]:
    height, width = about.size
    channels = "red, green and blue" if about.in_channels == 3 else f"{about.in_channels} channels"
    usage = (
        f"images: float32 [B, {about.in_channels}, H, W], {channels} in [0, 1], {formula(normalize, about.moments)}; "
        f"H and W from {minimum} up, trained at {height}×{width}. "
        f"logits: float32 [B, {about.num_classes}, H, W]; {about.task.formula}."
    )
    return {
        "segreg": version("segreg"),
        "architecture": str(Expression(about.architecture, about.options)),
        "plugin": about.plugin,
        "classes": about.classes,
        "size": about.size,
        "min_size": minimum,
        "normalize": normalize,
        **({"mean": about.mean, "deviation": about.deviation} if normalize in ("imagenet", "dataset") else {}),
        "usage": usage,
    }


def _write_onnx(program: ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    translated = torch.onnx.export(
        program,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: "batch", 2: "height", 3: "width"}},
        external_data=False,
        verbose=False,
    )
    assert translated
    translated.model.producer_name = "segreg"
    translated.model.producer_version = metadata["segreg"]
    translated.model.doc_string = metadata["usage"]
    translated.model.metadata_props.update(
        {key: each if isinstance(each, str) else json.dumps(each) for key, each in metadata.items()}
    )
    translated.save(path)


def _write_program(program: ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    torch.export.save(program, path, extra_files={METADATA: json.dumps(metadata, indent=2)})


def _read_onnx(path: Path) -> Model:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4
    session = InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        [logits] = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return run


def _read_program(path: Path) -> Model:
    module: Model = torch.export.load(path).module()
    return module


_WRITE = {"onnx": _write_onnx, "torch-export": _write_program}
_READ = {"onnx": _read_onnx, "torch-export": _read_program}


def _shapes(channels: int, minimum: int) -> tuple[Shape, ...]:
    return (
        (1, channels, minimum, minimum),
        (3, channels, (minimum + 1) | 1, (minimum + 15) | 1),
        (2, channels, 2 * minimum + 1, minimum + 8),
    )


def _compared(model: nn.Module, run: Model, shapes: Iterable[Shape]) -> tuple[float, float, int]:
    """Return the largest difference, the largest share of the logits' spread, and how many batches were redrawn."""
    generator = torch.Generator().manual_seed(0)
    differences, shares, redrawn = zip(*(_agreeing(model, run, shape, generator) for shape in shapes), strict=True)
    return max(differences), max(shares), sum(redrawn)


@torch.no_grad()
def _agreeing(model: nn.Module, run: Model, shape: Shape, generator: torch.Generator) -> tuple[float, float, int]:
    # SegNet keeps the position of the largest of four values; if two are equal except for rounding, it may be either.
    # A wrong translation is wrong on every batch.
    for redrawn in range(_DRAWS):
        images = torch.rand(shape, generator=generator)
        expected = model(images)
        difference = float((run(images) - expected).abs().max())
        share = difference / max(float(expected.std(correction=0)), 1e-3 * float(expected.abs().max()), 1e-30)
        if share <= TOLERANCE:
            return difference, share, redrawn
    raise RunError(
        f"the exported logits differ from the model's by {share:.2g} of their spread on images of "
        f"{'×'.join(map(str, shape))}, but {TOLERANCE:g} is allowed: the file was not kept"
    )


@contextmanager
def _one_line(about: About, format: Format) -> Iterator[None]:  # noqa: A002
    """Turn whatever an exporter raises into a one-line error."""
    try:
        yield
    except SegregError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__:
            cause = cause.__cause__
        reason = textwrap.shorten(str(cause), 300, placeholder=" …") or type(cause).__name__
        raise RunError(f"{about.architecture} cannot be exported as {format}: {reason}") from error


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Suppress the log messages and warnings of the exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
