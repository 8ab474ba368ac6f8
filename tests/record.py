"""Digests of the results of a fixed set of recipes, to compare before and after a change that must not alter results.

    python record.py before.json              with the old version installed
    python record.py after.json               with the new one, on the same machine
    python record.py --compare before.json after.json

The last call names every digest that differs. With names after the file only these cases are recorded. It takes about
eight minutes, and uses only the command line and the files that it writes, so that any version can be recorded.
One thread, since the order of summation depends on their number.
"""

import contextlib
import csv
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from segreg.cli.main import main

SMALL = "--data lesions:size=32,train=24,valid=8,test=8 --size 32 --epochs 2"
TINY = "unet:width=8,depth=2"
ARCHITECTURES = ("segnet", "segnet-basic", "unet", "unet-upsample", "unet-convpool")
LOSSES = ("bce", "cross-entropy", "dice", "focal", "wsr", "jaccard", "tversky", "focal-tversky", "lovasz")
METRICS = "--metrics iou dice accuracy precision recall hausdorff95 surface-dice iou:average=dataset"
CLASSES = {"two": "[sky,road]", "eleven": "[a,b,c,d,e,f,g,h,i,j,k]"}
TIMES = {"seconds", "images_per_second"}
PLUGINS = {
    "timm": "timm/unet:backbone=test_resnet",
    "smp": "smp/unet:encoder=tu-test_resnet",
    "monai": "monai/basicunet:features=[4,4,4,4,4,4]",
}

Digests = dict[str, str]


def record(out: Path, only: Sequence[str]) -> Digests:
    """Run the cases below `out`, and return the digests by case and output."""
    digests: Digests = {}
    for name, size in (("two", 2), ("eleven", 11), ("binary", 1)):
        draw(out / name, size)
    cases: dict[str, Callable[[], None]] = {}

    def train(name: str, words: str) -> None:
        def run() -> None:
            call(f"train {words} --out {out / name} --device cpu -q")
            digests.update(of_run(name, out / name))

        cases[name] = run

    for architecture in ARCHITECTURES:
        train(architecture, f"{architecture} {SMALL}")
    for loss in (*LOSSES, "bce+0.5*dice"):
        train(f"loss-{loss}", f"{TINY} {SMALL} --loss {loss} {METRICS}")
        for name, classes in CLASSES.items():
            data = f"--data folder:root={out / name},classes={classes} --size 32 --epochs 2"
            train(f"{name}-{loss}", f"{TINY} {data} --loss {loss} {METRICS}")
    for name, model in PLUGINS.items():
        train(f"plugin-{name}", f"{model} {SMALL}")
        data = f"--data folder:root={out / 'eleven'},classes={CLASSES['eleven']} --size 32 --epochs 1"
        train(f"plugin-{name}-eleven", f"{model} {data} --loss cross-entropy")
    # Its option had a different name before.
    ema = "--ema" if "--ema" in call("train --help") else "--average ema"
    train("ema", f"{TINY} {SMALL} {ema}")
    train("original", f"{TINY} {SMALL} --preset original --epochs 4")
    train("plain", f"{TINY} {SMALL} --normalize none --clip-grad 0.1 --augment hflip --precision fp32")
    train("bf16", f"{TINY} {SMALL} --precision bf16 --schedule constant --seed 7 --batch 5")
    for norm in ("group", "instance"):
        train(f"norm-{norm}", f"{TINY},norm={norm} {SMALL}")
    train("folder", f"{TINY} --data folder:root={out / 'binary'} --size 40x56 --epochs 4")
    two_seeds = f"--models {TINY} unet:width=4,depth=2 --losses bce dice --seeds 0 1 {SMALL}"
    cases |= {
        "resumed": lambda: resume(out / "resumed", digests),
        "quick": lambda: study("quick", out / "quick", digests),
        "seeds": lambda: study("seeds", out / "seeds", digests, two_seeds),
        "predict": lambda: predict(out, digests),
        "evaluate": lambda: evaluate(out, digests),
        "export": lambda: export(out, digests),
        "list": lambda: listed(digests),
    }
    chosen = {name: run for name, run in cases.items() if not only or name in only}
    for number, (name, run) in enumerate(chosen.items(), 1):
        print(f"{number}/{len(chosen)} {name}", file=sys.stderr, flush=True)
        torch.set_num_threads(1)
        run()
    return digests


def draw(folder: Path, classes: int) -> None:
    """Write 20 images of odd sizes with masks of the given classes, some of whose pixels are ignored."""
    rng = np.random.default_rng(classes)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(20):
        height, width = 41 + number % 3, 59 - number % 5
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        mask = ((x // 9 + y // 7 + number) % max(classes, 2)).astype(np.uint8)
        image = (20 + 19 * mask[..., None] * np.array([1, 0.7, 0.4]) + rng.normal(0, 12, (height, width, 3))).clip(
            0, 255
        )
        if classes > 1:
            mask[:3, :5] = 255
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"p{number:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"p{number:02}.png")


def resume(run: Path, digests: Digests) -> None:
    call(f"train {TINY} {SMALL} --loss bce+dice --checkpoint-every 2 --batch 5 --out {run} --device cpu -q")
    call(f"train --resume {run} --epochs 4 -q")
    digests.update(of_run("resumed", run))


def study(name: str, out: Path, digests: Digests, words: str = "") -> None:
    printed = call(f"compare {words} --out {out} --device cpu -q")
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {key: value for key, value in row.items() if key not in (*TIMES, "images/s")}
            for row in csv.DictReader(file)
        ]
    digests[f"study {name}: results.csv"] = digest(json.dumps(rows))
    digests[f"study {name}: conclusion"] = digest(
        "".join(line for line in printed.splitlines(True) if " best on " in line)
    )
    for each in ("samples.png",):
        digests[f"study {name}: {each}"] = of_image(out / each)
    for run in sorted((out / "runs").iterdir()):
        # Without the digest of its recipe, whose settings may have other names.
        digests.update(of_run(f"{name}/{run.name.rpartition('-')[0]}", run))


def predict(out: Path, digests: Digests) -> None:
    for name, run, images, words in (
        ("whole", "folder", "binary", ""),
        ("tiles", "folder", "binary", "--tile 32 --overlap 8"),
        ("tta", "folder", "binary", "--tta --tile 40"),
        ("eleven", "eleven-cross-entropy", "eleven", "--tta"),
        ("two", "two-dice", "two", "--tile 36"),
    ):
        folder = out / f"predicted-{name}"
        written = f"--out {folder} --overlay --probabilities --device cpu -q"
        call(f"predict {out / run} {out / images / 'images'} {written} {words}")
        for path in sorted(folder.rglob("*.*")):
            # Indices, not the colours of a palette.
            content = np.asarray(Image.open(path)).tobytes() if path.suffix == ".png" else path.read_bytes()
            digests[f"predict {name}: {path.relative_to(folder)}"] = digest(content)


def evaluate(out: Path, digests: Digests) -> None:
    for name, runs, words in (
        ("one", ["folder"], ""),
        ("two", ["loss-bce", "loss-dice"], "--split all"),
        ("eleven", ["eleven-cross-entropy", "eleven-dice"], "--split valid --tile 32"),
        ("tta", ["loss-lovasz"], "--tta"),
    ):
        folder = out / f"evaluated-{name}"
        printed = call(f"evaluate {' '.join(str(out / run) for run in runs)} --out {folder} --device cpu -q {words}")
        digests[f"evaluate {name}: output"] = digest(printed.replace(str(out), ""))
        for path in sorted(folder.rglob("*.*")):
            of = of_image(path) if path.suffix == ".png" else digest(path.read_text("utf-8").replace(str(out), ""))
            digests[f"evaluate {name}: {path.relative_to(folder)}"] = of


def export(out: Path, digests: Digests) -> None:
    import onnxruntime

    images = torch.rand(2, 3, 47, 61, generator=torch.Generator().manual_seed(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for run in ("folder", "eleven-cross-entropy", "segnet-basic", "plugin-timm"):
        file = out / f"{run}.onnx"
        call(f"export {out / run} --out {file} -q")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        digests[f"export onnx {run}"] = digest(session.run(["logits"], {"images": images.numpy()})[0].tobytes())
        digests[f"export onnx {run}: metadata"] = digest(repr(session.get_modelmeta().custom_metadata_map))
        call(f"export {out / run} --format torch-export --out {file.with_suffix('.pt2')} -q")
        extra = {"segreg.json": ""}
        program = torch.export.load(file.with_suffix(".pt2"), extra_files=extra).module()
        with torch.no_grad():
            digests[f"export torch {run}"] = digest(program(images).numpy().tobytes())
        digests[f"export torch {run}: metadata"] = digest(extra["segreg.json"])


def listed(digests: Digests) -> None:
    entries = json.loads(call("list --json"))
    digests["list"] = digest(json.dumps(entries))
    for entry in entries:
        shown = json.loads(call(f"show {entry['name']} --json"))
        for each in shown:
            digests[f"show {each['kind']} {each['name']}"] = digest(json.dumps(each))


def of_run(name: str, run: Path) -> Digests:
    """Digest what a run wrote, without how long it took."""
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        history = [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]
    results = {key: value for key, value in json.loads((run / "results.json").read_text()).items() if key not in TIMES}
    found = {
        "history": digest(json.dumps(history)),
        "results": digest(json.dumps(results)),
        "recipe": digest((run / "recipe.toml").read_text().replace(str(run.parent), "")),
        "splits": digest((run / "splits.csv").read_bytes()),
        "samples.png": of_image(run / "samples.png"),
    }
    for file_name in ("model", "scores", "samples"):
        with safe_open(run / f"{file_name}.safetensors", "np") as file:
            found[file_name] = digest(
                b"".join(file.get_tensor(key).tobytes() + key.encode() for key in sorted(file.keys()))
            )
            if file.metadata():
                found[f"{file_name} metadata"] = digest(json.dumps(file.metadata()))
    for path in sorted((run / "worst").glob("*")):
        # Indices, not the colours of a palette.
        found[f"worst {path.name}"] = digest(np.asarray(Image.open(path)).tobytes())
    return {f"run {name}: {key}": value for key, value in found.items()}


def of_image(path: Path) -> str:
    return digest(np.asarray(Image.open(path).convert("RGB")).tobytes())


def digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def call(words: str) -> str:
    """Run a command, and return what it prints."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main(words.split())
    except SystemExit as left:
        if left.code:
            raise RuntimeError(f"segreg {words} ended with {left.code}") from left
    return printed.getvalue()


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        before, after = (json.loads(Path(word).read_text()) for word in sys.argv[2:4])
        names = differing(before, after)
        print(*names, f"{len(names)} of {len(before)} digests differ", sep="\n")
        sys.exit(1 if names else 0)
    with tempfile.TemporaryDirectory() as folder:
        digests = record(Path(folder), sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(digests, indent=1) + "\n")
