"""The tables of the report. Each is a function that yields its lines one by one, so that a later failure loses none."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import segreg
from tests.gpu.measure import LIMIT, Fit, Setup, bench, call, counted_syncs, fit, last_line, operations, trace

Lines: TypeAlias = Iterator[str]

_EPOCHS = 6  # of the timed fits; the first one does not count
_FEW, _MORE = 1, 4  # epochs of two fits, whose difference is what an epoch costs


def steps(setup: Setup) -> Lines:
    """Time training steps alone: no data, no augmentation, no metric."""
    row = "  {:24} {:10} {:>5} {:>9} {:>7} {:>8} {:>13} {:>8}".format
    yield "training steps, as `segreg bench --train` times them, which waits for the GPU after each"
    yield row("model", "how", "batch", "ms/batch", "img/s", "TFLOP/s", "convolutions", "peak MB")
    until = time.perf_counter() + LIMIT
    for batch in setup.batches:
        for each in bench(setup, batch, until - time.perf_counter()):
            rate, share, peak = each["images_per_second"], each.get("of_convolutions"), each.get("megabytes")
            yield row(
                each["model"],
                each.get("how", ""),
                batch,
                f"{1000 * batch / rate:.2f}",
                f"{rate:.0f}",
                _tflops(setup, each["model"], rate),
                f"{share[0]:.0%}" if share else "",
                f"{peak:.0f}" if peak else "",
            )


def train(setup: Setup) -> Lines:
    """Time `segreg.fit` from end to end."""
    row = "  {:24} {:>5} {:>7} {:>8} {:>11} {:>7} {:>11} {:>10}".format
    fit(setup, setup.models[0], setup.batches[0], 1)  # starts CUDA, which is not to be timed
    yield f"segreg.fit, {_EPOCHS} epochs of {setup.images} images; img/s: of the training in epoch 2 and later"
    yield row("model", "batch", "img/s", "TFLOP/s", "end to end", "wall s", "not epochs", "valid IoU")
    for model in setup.models:
        for batch in setup.batches:
            made = _default(setup, model, batch)
            yield row(
                model,
                batch,
                f"{made.images_per_second:.0f}",
                _tflops(setup, model, made.images_per_second),
                f"{setup.images * _EPOCHS / made.wall:.0f}",
                f"{made.wall:.1f}",
                f"{made.wall - made.in_epochs:.1f}",
                f"{made.iou:.3f}",
            )


def augmentation(setup: Setup) -> Lines:
    """Compute what augmentation costs per batch."""
    row = "  {:24} {:>5} {:>12} {:>8} {:>14}".format
    yield "augmentation: ms/batch of a fit as it is by default, minus that of one with augment=none"
    yield row("model", "batch", "default", "none", "augmentation")
    model = setup.models[0]
    for batch in setup.batches:
        made = _default(setup, model, batch), fit(setup, model, batch, _EPOCHS, augment="none")
        default, none = (1000 * setup.images / each.images_per_second / setup.steps(batch) for each in made)
        yield row(model, batch, f"{default:.2f}", f"{none:.2f}", f"{default - none:.2f}")


def same_seed(setup: Setup) -> Lines:
    """Train twice with the same seed, and compare bit by bit."""
    batch = setup.batches[0]
    yield f"the same seed twice, {_FEW + 1} epochs, batch size {batch}"
    for model in setup.models:
        one, two = (fit(setup, model, batch, _FEW + 1) for _ in range(2))
        apart = {
            name: float((weights.double() - two.weights[name].double()).abs().max())
            for name, weights in one.weights.items()
            if not weights.equal(two.weights[name])
        }
        weights = f"{len(apart)} of {len(one.weights)} differ, by {max(apart.values()):.3g}" if apart else "all equal"
        history = "equal" if one.numbers == two.numbers else "different"
        yield f"  {model}: tensors of the weights {weights}; losses and metrics {history}"


def busy(setup: Setup) -> Lines:
    """Compute the share of the time in which the GPU is busy, and with what."""
    model, batch, epochs = setup.models[0], setup.batches[0], _MORE - _FEW
    yield f"GPU busy, {model}, batch size {batch}: kernels, copies and fills that torch's profiler saw"
    if setup.device != "cuda":
        yield "  needs CUDA"
        return
    plain = fit(setup, model, batch, _MORE)
    few, more = (trace(setup, model, batch, number) for number in (_FEW, _MORE))
    yield _share(f"a fit of {_MORE} epochs", more.busy, plain.wall) + f" ({more.fit.wall:.2f} s with the profiler)"
    yield _share("an epoch, with validation", (more.busy - few.busy) / epochs, plain.epoch_seconds)
    rise = {name: (count - few.counts.get(name, 0)) / epochs for name, count in more.counts.items()}
    top = sorted(rise.items(), key=lambda item: -item[1])[:9]
    yield f"  in an epoch of {setup.steps(batch)} steps: " + ", ".join(f"{count:.0f} {name}" for name, count in top)
    for name, spent in sorted(more.kernels.items(), key=lambda item: -item[1])[:10]:
        yield f"  {spent / sum(more.kernels.values()):6.1%} {name[:110]}"


def syncs(setup: Setup) -> Lines:
    """Count how often the host waits for the GPU, and where."""
    model, batch, epochs = setup.models[0], setup.batches[0], _MORE - _FEW
    yield f"host syncs, {model}, batch size {batch}, as torch's sync debug mode sees them"
    if setup.device != "cuda":
        yield "  needs CUDA"
        return
    seen = []
    for number in (_FEW, _MORE):
        with counted_syncs() as places:
            fit(setup, model, batch, number)
        seen.append(places)
    few, more = seen
    each = {place: (count - few[place]) / epochs for place, count in more.items()}
    yield f"  {sum(each.values()):.1f} in an epoch of {setup.steps(batch)} steps, with validation"
    yield f"  {few.total()} in the whole of a fit of {_FEW} epoch"
    for place, count in sorted(each.items(), key=lambda item: -item[1])[:10]:
        yield f"  {count:7.1f} {place}"


def study(setup: Setup) -> Lines:
    """Run the default study with one seed; if it takes too long, show what is finished."""
    row = "  {:24} {:8} {:>7} {:>10} {:>7} {:>10} {:>9}".format
    yield f"the default study, seed 0, {setup.epochs} epochs, everything else by default"
    out = setup.folder / "study"
    words = ["--data", setup.data, "--size", str(setup.size), "--epochs", str(setup.epochs), "--seeds", "0"]
    began, problem = time.time(), ""
    try:
        done = call("-m", "segreg", "compare", *words, "--device", setup.device, "--out", str(out), "-q")
        problem = f"segreg compare: {last_line(done.stderr)}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"stopped after {LIMIT:.0f} s: a smaller --epochs may fit"
    took = time.time() - began
    yield row("model", "loss", "wall s", "in epochs", "img/s", "valid IoU", "test IoU")
    # The results are the last thing that a run writes, and the next run starts immediately.
    ends = sorted((path.stat().st_mtime, path.parent) for path in out.glob("runs/*/results.json"))
    for end, path in ends:
        made, recipe = Fit.read(segreg.Run(path), wall=end - began), segreg.Run(path).recipe
        scores = (segreg.Run(path).results["metrics"][split]["iou"] for split in ("valid", "test"))
        yield row(
            recipe.model,
            recipe.loss,
            f"{made.wall:.1f}",
            f"{made.in_epochs:.1f}",
            f"{made.images_per_second:.0f}",
            *(f"{score:.3f}" for score in scores),
        )
        began = end
    yield f"  {len(ends)} configurations; {took:.0f} s with the start, reading the images and the report"
    if problem:
        raise RuntimeError(problem)


def tests(setup: Setup) -> Lines:
    """Run the tests of this folder that need a GPU."""
    yield "pytest tests/gpu -m gpu"
    # The project's own options distribute tests over processes, which needs a plugin, and would share one GPU.
    done = call("-m", "pytest", "tests/gpu", "-m", "gpu", "-q", "-ra", "--tb=short", "--durations=5", "-o", "addopts=")
    for line in done.stdout.splitlines()[-60:]:
        yield f"  {line}"
    if done.returncode:
        raise RuntimeError(f"pytest ended with status {done.returncode}. {last_line(done.stderr)}")


SECTIONS: Mapping[str, Sequence[Callable[[Setup], Lines]]] = {
    "steps": (steps,),
    "train": (train, augmentation, same_seed, busy, syncs),
    "study": (study,),
    "tests": (tests,),
}


@cache
def _default(setup: Setup, model: str, batch: int) -> Fit:
    return fit(setup, model, batch, _EPOCHS)


def _share(what: str, spent: float, wall: float) -> str:
    return f"  {what}: {spent:.3f} s of {wall:.3f} s, {spent / wall:.0%}"


def _tflops(setup: Setup, model: str, images_per_second: float) -> str:
    return f"{operations(model, setup.size) * images_per_second / 1e12:.3g}"
