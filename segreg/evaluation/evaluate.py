"""`segreg evaluate`: the scores of trained models on images with masks, and whether two of them differ."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from segreg.contracts import SegmentationDataset, SegmentationMetric
from segreg.data.decode import Skipped, decode, names_of
from segreg.data.image_files import pillow_warnings_ignored, pixels_allowed
from segreg.errors import DataError, OptionError, RunError, SegregError, counted, did_you_mean, printable
from segreg.evaluation.report import write_evaluation
from segreg.evaluation.result import Evaluation
from segreg.evaluation.scores import NamedSample, Scores, score
from segreg.plugins import BUILTIN
from segreg.prediction.predictor import Predictor, load
from segreg.recipe import Recipe, read_names
from segreg.registry import components, registry
from segreg.runs.locate import weights_of
from segreg.runs.run import Run
from segreg.scoring.statistics import Comparison, paired_comparison
from segreg.support.device import Precision
from segreg.support.files import is_empty, new_directory, read_csv, reading, writing
from segreg.support.progress import Display
from segreg.task import task_of


@attrs.frozen(eq=False)
class _Subject:
    """A model to evaluate, and the recipe of its run if its weights are in the directory of one."""

    weights: Path
    predictor: Predictor
    recipe: Recipe | None

    @property
    def label(self) -> str:
        return self.recipe.label if self.recipe else self.predictor.about.architecture


def evaluate(
    *sources: str | Path | Run,
    data: str | None = None,
    split: str | None = None,
    metrics: str | Sequence[str] = (),
    out: str | Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: int | None = None,
    tta: bool = False,
    quiet: bool = False,
) -> Evaluation:
    """Score a trained model on images with masks, or compare two: `evaluate("runs/a", "runs/b", split="test")`.

    Each image is predicted as by `Predictor.probabilities` and compared with its mask on disk at its own size, whereas
    the table of a study is computed at the training size.

    Args:
        sources: One or two of: a run, its directory, or a `model.safetensors`.
        data: The dataset, as an expression; by default that of the run.
        split: Which split; by default `test` if there is one, else `valid`. `all` uses the images of all splits.
        metrics: Metrics, as expressions; the first one decides which images are worst. By default all of segreg's.
        out: Directory of the results, which must be new or empty; by default a new one under `evaluations/`.
        device: Device to compute on, as for `segreg.load`.
        precision: Precision of convolutions, as for `segreg.load`.
        tile: Cut images into tiles of this height and width, in pixels, as for `segreg.load`.
        tta: Average over the eight rotated and flipped views of an image.
        quiet: Show no progress.

    Raises:
        RunError: the run does not exist, or the directory is not empty or cannot be written to.
        DataError: the data are missing or invalid, or do not have the classes of the model.
        OptionError, ExpressionError, UnknownNameError, PluginError: a setting or a component is invalid.
    """
    if len(sources) not in (1, 2):
        raise OptionError(f"{len(sources)} runs were given: evaluate one, or compare two")
    names = read_names("metrics", metrics) if metrics else _own_metrics()
    if not names:
        raise OptionError("metrics is 'none': name one or more, or leave it out for all of segreg's")
    subjects = [
        _subject(source, load(source, device=device, precision=precision, tile=tile, tta=tta), lenient=bool(data))
        for source in sources
    ]
    expression = data or _data_of(subjects)
    own = [each for each in subjects if each.recipe and _same_data(each.recipe.data, expression)]
    dataset = registry().build("dataset", expression)
    splits = _splits_of(dataset, expression, split)
    split = "all" if len(splits) > 1 else splits[0]
    for subject in subjects:
        _check_classes(dataset, subject)
    num_classes = len(dataset.classes)
    built = {name: registry().build("metric", name, num_classes=num_classes) for name in names}
    labels = _labels(subjects)
    path = Path(out) if out else new_directory("evaluations", f"{' '.join(labels)} {split}")
    with _new(path), Display(quiet) as display:
        skipped: dict[tuple[str, str], str] = {}
        skip = any(each.recipe.on_bad_image == "skip" for each in own if each.recipe)
        total = sum(len(dataset.splits[each]) for each in splits)
        scores = []
        for label, subject in zip(labels, subjects, strict=True):

            def seen(done: int, what: str = f"{label} on {split}") -> None:
                display.progress(what, done, total)

            seen(0)
            samples = named_samples(dataset, splits, skipped if skip else None, subject.predictor.max_pixels)
            scores.append(score(label, subject.predictor, samples, total, built, seen))
        display.progress("intervals and plots", 0, 1)
        evaluation = Evaluation(
            path=path,
            data=expression,
            split=split,
            classes=tuple(map(str, dataset.classes)),
            models=scores,
            comparisons=_compared(built, scores) if len(scores) == 2 else {},
            notes=_notes(subjects, own, dataset, splits, list(skipped.values())),
        )
        with _whole(path) as aside:
            write_evaluation(
                attrs.evolve(evaluation, path=aside), [(each.weights, each.predictor) for each in subjects]
            )
    return evaluation


def _own_metrics() -> list[str]:
    return [entry.key for entry in components("metric") if entry.plugin.namespace == BUILTIN]


def _subject(source: str | Path | Run, predictor: Predictor, *, lenient: bool) -> _Subject:
    """Return what to evaluate; if lenient, without a recipe that cannot be read, for example for a missing loss."""
    weights = weights_of(source)
    run = Run(weights.parent)
    recipe = None
    try:
        if (run.path / "recipe.toml").exists():
            recipe = run.recipe
    except SegregError:
        if not lenient:
            raise
    return _Subject(weights, predictor, recipe)


def _labels(subjects: Sequence[_Subject]) -> list[str]:
    """Return one label per model; those of the same recipe are distinguished by their directories."""
    labels = [printable(subject.label) for subject in subjects]
    if len(set(labels)) == len(labels):
        return labels
    directories = [subject.weights.parent.name for subject in subjects]
    if len(set(directories)) < len(directories):
        directories = [str(subject.weights) for subject in subjects]
    return [f"{label} ({printable(directory)})" for label, directory in zip(labels, directories, strict=True)]


def _data_of(subjects: Sequence[_Subject]) -> str:
    named = list(dict.fromkeys(subject.recipe.data for subject in subjects if subject.recipe))
    if not named:
        raise OptionError(f"{subjects[0].weights} does not name a dataset: choose one with --data")
    if len(named) > 1:
        raise OptionError(f"the runs were trained on {named[0]} and on {named[1]}: choose one dataset with --data")
    return named[0]


def _same_data(one: str, other: str) -> bool:
    """Whether two expressions denote the same dataset, however they are written."""
    ours, theirs = (registry().resolve("dataset", each) for each in (one, other))
    return (ours.entry.key, ours.options) == (theirs.entry.key, theirs.options)


def _splits_of(dataset: SegmentationDataset, data: str, split: str | None) -> list[str]:
    there = [name for name, samples in dataset.splits.items() if len(samples)]
    wanted = split or ("test" if "test" in there else "valid")
    if wanted == "all" and there:
        return there
    if wanted not in there:
        raise DataError(
            f"{data} has no images in split {wanted!r}{did_you_mean(wanted, there)}; "
            f"available: {', '.join([*there, 'all']) if there else 'none'}"
        )
    return [wanted]


def _check_classes(dataset: SegmentationDataset, subject: _Subject) -> None:
    theirs, about = tuple(map(str, dataset.classes)), subject.predictor.about
    ours = about.classes
    # A single class is the foreground, whatever its name.
    if theirs != ours and not (about.task.single_class and len(theirs) == len(ours)):
        raise DataError(
            f"the dataset has {_listed(theirs)}, but {subject.weights} was trained for {_listed(ours)}: evaluate on "
            "data with the same classes in the same order"
        )


def _listed(classes: Sequence[str]) -> str:
    more = ", ..." if len(classes) > 4 else ""
    return f"{counted(len(classes), 'class')} ({', '.join(classes[:4])}{more})"


def named_samples(
    dataset: SegmentationDataset,
    splits: Sequence[str],
    skipped: dict[tuple[str, str], str] | None,
    max_pixels: int,
) -> Iterator[NamedSample]:
    """Read splits; an unusable sample is added to `skipped`, by split and name, or is an error if that is None."""
    limit = task_of(len(dataset.classes)).num_values
    good = 0
    for split in splits:
        samples = dataset.splits[split]
        for position, name in enumerate(names_of(samples)):
            with pillow_warnings_ignored(), pixels_allowed(max_pixels):
                read = decode(split, samples, position, name, limit)
            if isinstance(read, Skipped):
                if skipped is None:
                    raise DataError(read.reason) from read.cause
                skipped[split, name] = read.reason
                continue
            image, mask = read
            good += 1
            yield NamedSample(split, name, image, mask)
    if not good:
        raise DataError(f"no image of {', '.join(splits)} can be used: {next(iter((skipped or {}).values()), '')}")


def _compared(metrics: Mapping[str, SegmentationMetric], models: Sequence[Scores]) -> dict[str, Comparison]:
    one, other = models
    return {
        name: paired_comparison(metric, [one.metrics[name].states], [other.metrics[name].states])
        for name, metric in metrics.items()
    }


def _notes(
    subjects: Sequence[_Subject],
    own: Sequence[_Subject],
    dataset: SegmentationDataset,
    splits: Sequence[str],
    skipped: Sequence[str],
) -> list[str]:
    notes = [
        "Each image is scored at its own size, against its mask on disk; the table of a study whose runs "
        "share a training size is computed at that size, and differs slightly."
    ]
    names = _given_names(dataset, splits)
    if own and "train" in splits:
        notes.append("The models were trained on images of train: these scores say nothing about other images.")
    elif own:
        if "valid" in splits:
            notes.append(
                "The weights were chosen by their score on valid, which makes these scores slightly optimistic."
            )
        # A name that is still in train belongs to another image of the same name.
        known = names & _trained_on(own) - _given_names(dataset, ["train"])
        if known:
            notes.append(
                f"{len(known)} of the images, such as {min(known)}, were in train when the model was trained: the "
                "split has changed, and these scores are too optimistic."
            )
    # Other data may hold the same files, for example in another split of the same folder.
    alike = names & _trained_on([subject for subject in subjects if subject not in own])
    if alike:
        notes.append(
            f"{len(alike)} of the images, such as {min(alike)}, have names that were in train when the model was "
            "trained: if they are the same images, these scores are too optimistic."
        )
    if skipped:
        notes.append(f"{counted(len(skipped), 'image')} left out; the first: {skipped[0]}")
    return notes


def _given_names(dataset: SegmentationDataset, splits: Sequence[str]) -> set[str]:
    """Return the names in those splits that have names: positions would be the same in every split."""
    named = [dataset.splits[split] for split in splits if hasattr(dataset.splits.get(split), "names")]
    return {name for samples in named for name in names_of(samples)}


def _trained_on(subjects: Sequence[_Subject]) -> set[str]:
    names: set[str] = set()
    for path in (subject.weights.parent / "splits.csv" for subject in subjects):
        if path.exists():
            with reading(path, "a list of splits"):
                names |= {row["name"] for row in read_csv(path, ("split", "name")) if row["split"] == "train"}
    return names


@contextmanager
def _new(path: Path) -> Iterator[None]:
    """Create a directory before the work starts, and remove it again if the work fails."""
    if path.exists() and (not path.is_dir() or not is_empty(path)):
        raise RunError(f"{path} already exists and is not an empty directory: choose another --out")
    before = path.exists()
    with writing(path):
        path.mkdir(parents=True, exist_ok=before)
    try:
        yield
    except BaseException:
        if not before:
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a directory to write to, whose files are moved into `path` if the block succeeds, the page last."""
    with writing(path), TemporaryDirectory(prefix=".partial-", dir=path) as aside:
        yield Path(aside)
        for written in sorted(Path(aside).iterdir(), key=lambda each: each.name == "evaluation.md"):
            written.rename(path / written.name)
