"""A recipe: everything that decides what a training run does, by name and in one file."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import tomli_w
from attrs import validators

from segreg.errors import DataError, OptionError, did_you_mean
from segreg.expression import Expression, format_sum, parse, parse_sum
from segreg.options import Option, meanings_of, structure, structured
from segreg.registry import Kind, registry
from segreg.specs import Architecture
from segreg.training.device import Precision

Change: TypeAlias = Literal["hflip", "vflip", "affine", "light"]


def _size(value: Any) -> tuple[int, int]:
    """Read 128, "128", "96x128" or (96, 128) as height and width."""
    parts = str(value).lower().replace("×", "x").split("x") if isinstance(value, str | int) else list(value)
    parts = parts * 2 if len(parts) == 1 else parts
    if len(parts) != 2 or isinstance(value, bool):
        raise OptionError(f"size is {value!r}: write one number for a square, or HEIGHTxWIDTH such as 96x128")
    height, width = (structure("size", part, int) for part in parts)
    return height, width


def names(value: Any) -> Any:
    """Read "iou dice" or ("iou", "dice") as a tuple; "none" stands for no name."""
    words = value.split() if isinstance(value, str) else value
    return tuple(word for word in words if word != "none")


_READERS: Mapping[str, Callable[[Any], Any]] = {"metrics": names, "size": _size, "augment": names}


@attrs.frozen(kw_only=True)
class Recipe:
    """What a training run does. The defaults follow the experiment that segreg began with, and add what paid there.

    Args:
        model: Architecture, as an expression.
        loss: Loss, as an expression or a weighted sum such as `bce+0.5*dice`.
        metrics: Metrics, as expressions; the first one decides which weights are the best.
        data: Data set, as an expression.
        size: Height and width that pictures are resized to, in pixels: `128` or `96x128`.
        epochs: How many times every training picture is seen. At least 1.
        batch: Pictures in a step. At least 1.
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        schedule: `onecycle` raises the learning rate over the first tenth of the steps and then lets it fall to zero
            along a cosine; `none` keeps it constant.
        average: `ema` evaluates and keeps an exponential moving average of the weights; `none` the weights themselves.
        augment: Random changes to each training picture: `hflip`, `vflip`, `affine` (turned up to 20°, shifted up to
            5 %, scaled 0.8 to 1.2), `light` (brightness and contrast, 0.8 to 1.2); `none` for no change. Leave out
            `vflip` where pictures have an up and a down.
        precision: `bf16` computes convolutions in bfloat16, `fp32` everything in float32, `auto` asks the hardware.
        device: `auto`, or one by name, such as `cpu` or `cuda:1`.
        seed: Of the weights, the order of the pictures and the augmentation.
    Raises:
        OptionError: a value is outside its type or range.
    """

    model: str = "unet"
    loss: str = "bce"
    metrics: tuple[str, ...] = attrs.field(default=("iou",), converter=names, validator=validators.min_len(1))
    data: str = "lesions"
    size: tuple[int, int] = attrs.field(default=(256, 256), converter=_size)
    epochs: int = attrs.field(default=40, validator=validators.ge(1))
    batch: int = attrs.field(default=8, validator=validators.ge(1))
    lr: float = attrs.field(default=1e-3, validator=validators.gt(0))
    weight_decay: float = attrs.field(default=1e-2, validator=validators.ge(0))
    schedule: Literal["onecycle", "none"] = "onecycle"
    average: Literal["ema", "none"] = "ema"
    augment: tuple[Change, ...] = attrs.field(default=("hflip", "vflip", "affine", "light"), converter=names)
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = attrs.field(default=0, validator=validators.ge(0))

    @property
    def label(self) -> str:
        """Model and loss, as a table or a picture names the run."""
        return f"{self.model} · {self.loss}"

    def to_toml(self) -> str:
        """Write the recipe as TOML."""
        return tomli_w.dumps(attrs.asdict(self, recurse=False))


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "original": {
        "size": 256,
        "epochs": 40,
        "batch": 25,
        "schedule": "none",
        "average": "none",
        "augment": "none",
        "precision": "fp32",
    },
}
"""`original` is the protocol of the experiment that segreg began with: plain AdamW on unchanged pictures."""


def make_recipe(preset: str = "default", **settings: Any) -> Recipe:
    """Make a recipe from a preset and settings, as values or as text, and check all of it.

    Raises:
        OptionError: there is no such preset or setting, or a value is outside its type or range.
        ExpressionError, UnknownNameError, PluginError: a component cannot be read or found.
    """
    if preset not in PRESETS:
        raise OptionError(
            f"no preset is called {preset!r}{did_you_mean(preset, PRESETS)}: there are {', '.join(PRESETS)}"
        )
    given = {**PRESETS[preset], **settings}
    for name in given.keys() & _READERS.keys():
        given[name] = _READERS[name](given[name])
    values = structured("recipe", recipe_options(), given)
    try:
        recipe = Recipe(**values)
    except OptionError:
        raise
    except ValueError as error:
        raise OptionError(f"recipe: {error.args[0]}") from error
    return _checked(recipe)


def recipe_options() -> dict[str, Option]:
    """Return the settings of a recipe, with types, defaults and meanings."""
    meanings = meanings_of(Recipe)
    attrs.resolve_types(Recipe)
    return {
        field.name: Option(field.name, field.type, field.default, meanings.get(field.name, ""))
        for field in attrs.fields(Recipe)
    }


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from the `recipe.toml` of a run, or from a file with the same `[recipe]` table.

    Raises:
        DataError: the file cannot be read as TOML or has no such table.
        OptionError, ExpressionError, UnknownNameError, PluginError: as for `make_recipe`.
    """
    table = read_toml(path).get("recipe")
    if not isinstance(table, dict):
        raise DataError(f"{path} has no [recipe] table")
    return make_recipe(**table)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DataError: it is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} cannot be read as TOML: {' '.join(str(error).split())}") from error


def _checked(recipe: Recipe) -> Recipe:
    """Resolve every name and option, so that a mistake shows before any picture is read, and spell them one way."""
    model = _spelled("architecture", parse(recipe.model))
    record = registry().find("architecture", model.name).record
    if isinstance(record, Architecture) and min(recipe.size) < record.min_size:
        height, width = recipe.size
        raise OptionError(f"size is {height}x{width}: {model.name} takes {record.min_size}x{record.min_size} and more")
    return attrs.evolve(
        recipe,
        model=str(model),
        loss=format_sum([(weight, _spelled("loss", term)) for weight, term in parse_sum(recipe.loss)]),
        metrics=tuple(str(_spelled("metric", parse(metric), num_classes=1)) for metric in recipe.metrics),
        data=str(_spelled("dataset", parse(recipe.data))),
    )


def _spelled(kind: Kind, expression: Expression, **options: Any) -> Expression:
    entry, values = registry().resolve(kind, expression, **options)
    return Expression(entry.key, {name: values[name] for name in expression.options})
