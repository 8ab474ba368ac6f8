"""A recipe: everything that determines a training run, by name and in one file."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import tomli_w
from attrs.validators import optional

from segreg.data.decode import OnBadImage
from segreg.data.image_files import MAX_PIXELS
from segreg.errors import DataError, OptionError, PluginError, UnknownNameError, did_you_mean, shown
from segreg.expression import format_sum, parse
from segreg.kinds import KINDS, Kind
from segreg.nn.normalized import Normalization
from segreg.options import Option, check_names, field_expected, meanings_of, structure, structured
from segreg.plugins import missing_plugin
from segreg.registry import registry
from segreg.resolved import Resolved
from segreg.specs import Architecture
from segreg.support.device import Precision
from segreg.support.files import read_toml


def read_size(value: Any) -> tuple[int, int]:
    """Read 128, "128", "96x128" or (96, 128) as height and width.

    Raises:
        OptionError: the value is none of these, or exceeds the maximum number of pixels.
    """
    parts = value.lower().replace("×", "x").split("x") if isinstance(value, str) else value
    parts = list(parts) if isinstance(parts, Sequence) else [parts]
    if len(parts) > 2 or not parts:
        raise OptionError(f"size is {shown(value)}: write one number for a square, or HEIGHTxWIDTH such as 96x128")
    height, width = (structure("size", part, int) for part in (parts[0], parts[-1]))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise OptionError(f"size is {shown(value)}: expected 1 or more each, and {MAX_PIXELS:,} pixels at most")
    return height, width


def read_names(setting: str, value: Any) -> tuple[Any, ...]:
    """Read "iou dice" or ("iou", "dice") as a tuple; "none" means no name.

    Raises:
        OptionError: the setting's value is neither text nor a sequence.
    """
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, Sequence):
        raise OptionError(f"{setting} is {shown(value)}: write a list of names")
    names = tuple(word for word in words if word != "none")
    if names and len(names) < len(words):
        raise OptionError(f"{setting} is {shown(value)}: none stands alone, or leave it out")
    return names


def read_lr_scales(value: Any) -> tuple[str, ...]:
    """Read "encoder=0.1" or several of these; each is returned as it is written in a recipe.

    Raises:
        OptionError: one is not a prefix with a factor, the factor is out of range, or a prefix is given twice.
    """
    scales: dict[str, float] = {}
    for each in structure("lr_scale", read_names("lr_scale", value), tuple[str, ...]):
        prefix, _, factor = each.rpartition("=")
        try:
            scale = float(factor)
        except ValueError:
            scale = math.nan
        if not prefix or not 0 < scale < math.inf:
            raise OptionError(
                f"lr_scale is {shown(each)}: expected PREFIX=FACTOR, such as encoder=0.1, with a finite factor above "
                "0; to train a part not at all, use freeze"
            )
        if prefix in scales:
            raise OptionError(f"lr_scale has two factors for {shown(prefix)}: expected one")
        scales[prefix] = scale
    return tuple(f"{prefix}={scale}" for prefix, scale in scales.items())


def _converted(fields: type, settings: "list[attrs.Attribute[Any]]") -> "list[attrs.Attribute[Any]]":
    """Let every setting be given as text, or in a shorter form than its type."""
    return [
        field.evolve(converter=attrs.Converter(_read, takes_field=True)) if field.init else field for field in settings
    ]


def _read(value: Any, field: "attrs.Attribute[Any]") -> Any:
    if field.name == "size":
        return read_size(value)
    if field.name == "lr_scale":
        return read_lr_scales(value)
    names = read_names(field.name, value) if isinstance(field.default, tuple) else value
    return structure(field.name, names, field.type)


# Far below where step numbers, or the size of four batches, would overflow 64 bits.
_A_COUNT = field_expected("1 or more, and at most 1000000000", lambda value: 1 <= value <= 10**9)
# NumPy's limit, and far enough below torch's that epoch numbers can be added to it.
_A_SEED = field_expected("from 0 to 4294967295", lambda value: 0 <= value < 2**32)
_A_NORM = field_expected("a finite number above 0", lambda value: 0 < value < math.inf)
_A_SHARE = field_expected("from 0 to 1", lambda value: 0 <= value <= 1)
_NOT_EMPTY = field_expected("one name or more, the first of which decides which weights are kept", bool)


@attrs.frozen(kw_only=True, field_transformer=_converted)
class Recipe:
    """All settings of a training run. The defaults follow the experiment that segreg began with, and add what helped.

    Args:
        model: Architecture, as an expression.
        loss: Loss, as an expression or a weighted sum such as `bce+0.5*dice`.
        metrics: Metrics, as expressions; the first one selects the best weights.
        init: Weights to begin with: the directory of a run, or a safetensors file. Tensors are taken by name where
            their shapes fit; the others, such as a head with other classes, begin as they would without it. A resumed
            run does not read it again.
        freeze: Parts of the model that are not trained, as prefixes of parameter names such as `encoder`. They compute
            as in evaluation: batch normalisation keeps its statistics, and dropout is off. `none` for none.
        lr_scale: Factors of the learning rate of parts of the model, as `encoder=0.1`; the longest prefix of a
            parameter's name counts. `none` for none.
        data: Dataset, as an expression.
        on_bad_image: What to do about images or masks that cannot be read or used, all of which are found before the
            first epoch: `error` lists them and trains nothing; `skip` leaves them out, prints how many, and lists them
            in `skipped.csv`.
        size: Height and width that images are resized to, in pixels: `128` or `96x128`.
        epochs: Number of passes over the training set, at least 1.
        patience: Stop early once the first metric has not improved on the validation images for this many epochs, at
            least 1; `none` trains all epochs.
        batch: Batch size: images that are computed at once, at least 1.
        accumulate: Batches per step, whose gradients are averaged, at least 1: with more, a step uses as many times the
            images in the memory of one batch. Batch normalisation still sees one batch at a time.
        optimizer: Optimizer, as an expression such as `sgd:lr=0.05,momentum=0.9`. Each has its own default learning
            rate.
        schedule: Schedule of the learning rate, as an expression: `onecycle` raises it over the first 10 % of the steps
            and then lowers it to zero along a cosine, `constant` leaves it as it is.
        ema: Evaluate and keep an exponential moving average of the weights, which helps where the schedule does not
            lower the learning rate to zero.
        augment: Augmentations of the training images, as expressions such as `affine:degrees=90`; `none` for none.
            Those that move pixels come first, then those that change their values, each in the order given. Leave out
            `vflip` if up and down differ in the images.
        oversample: Share of the training images of each epoch, 0 to 1, that are replaced by images chosen for a class:
            first a class is drawn, each with the same probability, then an image that shows it. It makes rare classes
            more frequent.
        normalize: `image` standardizes each channel of each image to zero mean and unit variance, which removes
            lighting and camera differences; `dataset` uses mean and deviation of the training images for all, and
            `imagenet` those with which most pretrained weights were trained; `none` leaves images in [0, 1].
        precision: `bf16` runs convolutions in bfloat16, `fp32` everything in float32, `auto` depends on the hardware.
        device: `auto`, or a device such as `cpu` or `cuda:1`.
        seed: Seed of the weights, the order of the images and the augmentation, 0 to 4294967295.
        clip_grad: Maximum global gradient norm, above 0; larger gradients are scaled down. `none` for no clipping.
        checkpoint_every: Also save a checkpoint every N steps, at least 1; `none` saves checkpoints only between
            epochs, using at most 5 % of the time. It does not affect the results.
        track: Trackers, as expressions, such as `tensorboard`: they log the run to other tools and do not affect the
            results. `none` for none.

    Raises:
        OptionError: a value is outside its range.
    """

    model: str = "unet"
    loss: str = "bce"
    metrics: tuple[str, ...] = attrs.field(default=("iou",), validator=_NOT_EMPTY)
    init: str | None = None
    freeze: tuple[str, ...] = ()
    lr_scale: tuple[str, ...] = ()
    data: str = "lesions"
    on_bad_image: OnBadImage = "error"
    size: tuple[int, int] = (256, 256)
    epochs: int = attrs.field(default=40, validator=_A_COUNT)
    patience: int | None = attrs.field(default=None, validator=optional(_A_COUNT))
    batch: int = attrs.field(default=8, validator=_A_COUNT)
    accumulate: int = attrs.field(default=1, validator=_A_COUNT)
    optimizer: str = "adamw"
    schedule: str = "onecycle"
    ema: bool = False
    augment: tuple[str, ...] = ("hflip", "vflip", "affine")
    oversample: float = attrs.field(default=0.0, validator=_A_SHARE)
    normalize: Normalization = "image"
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = attrs.field(default=0, validator=_A_SEED)
    clip_grad: float | None = attrs.field(default=None, validator=optional(_A_NORM))
    checkpoint_every: int | None = attrs.field(default=None, validator=optional(_A_COUNT), eq=False)
    track: tuple[str, ...] = attrs.field(default=(), eq=False)

    components: Mapping[str, Sequence[Resolved]] = attrs.field(init=False, eq=False, repr=False)
    """The components that the settings name, by kind, in the order in which they are written."""

    def __attrs_post_init__(self) -> None:
        """Resolve and normalize every name and option, so that mistakes surface before any image is read."""
        kinds = [kind for kind in KINDS.values() if kind.field]
        components = {kind.name: _resolved(kind, getattr(self, kind.field)) for kind in kinds}
        components["augmentation"] = sorted(components["augmentation"], key=_changes_values)
        for kind in kinds:
            one = isinstance(getattr(self, kind.field), str)
            spelled = format_sum((each.weight, each.expression) for each in components[kind.name])
            several = tuple(str(each.expression) for each in components[kind.name])
            object.__setattr__(self, kind.field, spelled if one else several)
        object.__setattr__(self, "components", components)
        [architecture] = components["architecture"]
        record = architecture.entry.record
        if isinstance(record, Architecture) and min(self.size) < record.min_size:
            height, width = self.size
            minimum = f"{record.min_size}x{record.min_size} or more for {architecture.expression.name}"
            raise OptionError(f"size is {height}x{width}: expected {minimum}")
        try:
            self.to_toml().encode()
        except UnicodeEncodeError as error:  # bytes of a folder's name that are not UTF-8
            part = error.object[max(0, error.start - 20) : error.end + 20]
            raise OptionError(
                f"the recipe has bytes that are not text, near {part!r}: rename that file or folder"
            ) from error

    @property
    def label(self) -> str:
        """Model and loss, as a run is called on the screen."""
        return f"{self.model} · {self.loss}"

    @property
    def images_per_step(self) -> int:
        """The number of images that a step uses, where the epoch has that many left."""
        return self.batch * self.accumulate

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, without those that are None, which TOML cannot express."""
        return attrs.asdict(self, recurse=False, filter=lambda field, value: field.init and value is not None)

    def fields_that_affect_results(self) -> dict[str, Any]:
        """Return the settings that affect the results."""
        return attrs.asdict(self, recurse=False, filter=lambda field, value: field.eq is True and value is not None)

    def to_toml(self) -> str:
        """Write the recipe as TOML."""
        return tomli_w.dumps(self.to_dict())


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "original": {
        "size": 256,
        "epochs": 40,
        "batch": 25,
        "schedule": "constant",
        "augment": "none",
        "normalize": "none",
        "precision": "fp32",
    },
}
"""`original` is the protocol of the experiment that segreg began with: plain AdamW on unchanged images."""


def make_recipe(preset: str = "default", **settings: Any) -> Recipe:
    """Make a recipe from a preset and settings, as values or as text, and check all of it.

    Raises:
        OptionError: the preset or a setting does not exist, or a value has the wrong type or is out of range.
        ExpressionError, UnknownNameError, PluginError: a component cannot be read or found.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        near = did_you_mean(preset, PRESETS) if isinstance(preset, str) else ""
        raise OptionError(f"unknown preset {shown(preset)}{near}; available: {', '.join(PRESETS)}")
    given = {**PRESETS[preset], **settings}
    check_names("recipe", recipe_options(), given)
    rates = {name: value for name in _OF_THE_OPTIMIZER if (value := given.pop(name, None)) not in (None, "none")}
    recipe = Recipe(**given)
    return attrs.evolve(recipe, optimizer=_with_rates(recipe, rates)) if rates else recipe


_OF_THE_OPTIMIZER = {
    option.name: option
    for option in (
        Option("lr", float | None, None, "Learning rate, in place of the optimizer's own."),
        Option("weight_decay", float | None, None, "Weight decay, in place of the optimizer's own."),
    )
}
"""Settings that set an option of the optimizer, whichever it is."""


@cache
def recipe_options() -> Mapping[str, Option]:
    """Return the settings of a recipe, with types, defaults and meanings."""
    meanings = meanings_of(Recipe)
    attrs.resolve_types(Recipe)
    options = [Option(field.name, field.type, field.default, meanings.get(field.name, "")) for field in _fields()]
    return {**{option.name: option for option in options}, **_OF_THE_OPTIMIZER}


def written_recipe(table: Mapping[str, Any]) -> Recipe:
    """Make a recipe from what a run or study wrote, without the trackers that are not available here.

    Trackers do not affect the results, so a missing one must not keep anyone from reading them.

    Raises:
        OptionError, ExpressionError, UnknownNameError, PluginError: as for `make_recipe`.
    """
    names = read_names("track", table.get("track", ()))
    track = [each for each in names if not isinstance(each, str) or _is_available(each)]
    return make_recipe(**{**table, "track": track})


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from the `recipe.toml` of a run, or from a file with the same `[recipe]` table.

    Raises:
        DataError: the file cannot be read as TOML or has no such table.
        PluginError: a component's plugin is not installed, or broken.
        OptionError, ExpressionError, UnknownNameError: as for `make_recipe`.
    """
    tables = read_toml(path)
    table = tables.get("recipe")
    if not isinstance(table, dict):
        raise DataError(f"{path} has no [recipe] table")
    unknown = next((name for name in table if name not in recipe_options()), None)
    # A name close to that of a setting is a typo.
    if unknown is not None and not did_you_mean(unknown, recipe_options()):
        raise DataError(f"{path} was written by another version of segreg: this one has no setting {unknown!r}")
    try:
        return written_recipe(table)
    except UnknownNameError:
        written = tables.get("component")
        for component in filter(lambda each: isinstance(each, dict), written if isinstance(written, list) else []):
            kind, name, distribution, version = (
                str(component.get(key)) for key in ("kind", "name", "plugin", "version")
            )
            if name not in [entry.key for entry in registry().named(name) if entry.kind == kind]:
                raise missing_plugin(path, name, distribution, version) from None
        raise


def _fields() -> "list[attrs.Attribute[Any]]":
    """Return the fields that are settings."""
    return [field for field in attrs.fields(Recipe) if field.init]


def _with_rates(recipe: Recipe, rates: Mapping[str, Any]) -> str:
    """Return the optimizer of a recipe with other values of its options, as an expression."""
    [optimizer] = recipe.components["optimizer"]
    chosen = structured(optimizer.entry.key, optimizer.entry.options(), rates)
    return str(attrs.evolve(optimizer.expression, options={**optimizer.expression.options, **chosen}))


def _changes_values(augmentation: Resolved) -> bool:
    """Whether an augmentation only changes the values of pixels, and moves none."""
    target = augmentation.entry.target()
    return not (hasattr(target, "matrix") or hasattr(target, "displacement"))


def _resolved(kind: Kind, named: str | tuple[str, ...]) -> Sequence[Resolved]:
    if isinstance(named, str):
        return registry().resolve_sum(kind.name, named, kind.decided)
    resolved = [registry().resolve(kind.name, each, kind.decided) for each in named]
    # A component with the same options is kept once, however it is written.
    return list({str(each.expression): each for each in resolved}.values())


def _is_available(tracker: str) -> bool:
    try:
        registry().find("tracker", parse(tracker).name)
    except (UnknownNameError, PluginError):
        return False
    return True
