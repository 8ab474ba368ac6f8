"""Files of a run that are damaged or malicious. The command of `Payload` would leave a file behind."""

import io
import json
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from segreg.runs.tensor_file import write_tensors

SIZE = 4 * 10**8
"""Size of an unpacked bomb, in bytes."""


class Payload:
    """Executes a command when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Payload(mark))


def archived(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@cache
def bomb() -> bytes:
    """A checkpoint of some megabytes with a tensor of many more."""
    return repacked(zipfile.ZIP_DEFLATED, **{"0": bytes(SIZE)})


def repacked(compression: int, **changes: bytes | Callable[[bytes], bytes]) -> bytes:
    """A checkpoint of one tensor, with changes to its parts by the last component of their names."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archived({"model": torch.zeros(4)}))) as sound,
        zipfile.ZipFile(file, "w") as packed,
    ):
        for part in sound.infolist():
            content = sound.read(part)
            for end, change in changes.items():
                if part.filename.rpartition("/")[2] == end:
                    content = change(content) if callable(change) else change
            packed.writestr(part.filename, content, compress_type=compression)
    return file.getvalue()


def states(mark: Path) -> dict[str, bytes]:
    """Contents of `checkpoint.pt`, by name."""
    sound = archived({"model": torch.zeros(4)})
    four = b"K\x04"
    tensor = torch.zeros(1).expand(10**5, 10**6)
    return {
        "empty": b"",
        "text": b"nonsense",
        "cut": sound[: len(sound) // 2],
        "pickle": pickled(mark),
        "pickle-in-archive": archived({"model": Payload(mark)}),
        "legacy-pickle": archived({"model": Payload(mark)}, _use_new_zipfile_serialization=False),
        "module": archived({"model": torch.nn.Linear(2, 2)}),
        "bomb": bomb(),
        "bomb-of-pickle": repacked(zipfile.ZIP_DEFLATED, **{"data.pkl": lambda content: content + bytes(SIZE)}),
        "bomb-in-unknown-part": repacked(zipfile.ZIP_DEFLATED, version=b"3\n".ljust(SIZE)),
        "storage-of-a-gigabyte": repacked(
            zipfile.ZIP_STORED,
            **{"data.pkl": lambda content: content.replace(four, b"J" + struct.pack("<i", 250_000_000))},
        ),
        "one-number-expanded-to-a-hundred-billion": archived({"best_weights": {"weight": tensor}}),
        "nested-number-expanded-to-a-hundred-billion": archived({"history": [[{"x": (1, tensor)}]]}),
        "archive-of-something-else": _zip({"readme.txt": b"hello"}),
    }


def _zip(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return file.getvalue()


def saved(tensors: dict[str, torch.Tensor], about: Any = None) -> bytes:
    """A file of tensors as segreg writes it, whose digest fits whatever it contains."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tensors.safetensors"
        write_tensors(path, tensors, about)
        return path.read_bytes()


def safetensors(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header, and possibly a wrong length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ABOUT = {
    "segreg": "0.1",
    "architecture": "unet",
    "options": {"in_channels": 3, "num_classes": 1, "width": 4, "depth": 1},
    "plugin": "segreg 0.1",
    "classes": ["lesion"],
    "size": [32, 32],
    "normalize": "image",
}


def models(mark: Path, weights: dict[str, torch.Tensor]) -> dict[str, bytes]:
    """Contents of `model.safetensors`, by name; the weights are those of the model that `ABOUT` names."""

    def about(**changes: Any) -> bytes:
        return saved(weights, {**ABOUT, **changes})

    def tensor(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
        return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}

    sound = about()
    deep = b"[" * 100_000
    cases = {
        "empty": b"",
        "text": b"nonsense",
        "cut": sound[: len(sound) // 2],
        "longer": sound + b"\0" * 1000,
        "pickle": pickled(mark),
        "archive": archived({"w": Payload(mark)}),
        "bomb": bomb(),
        "header-of-exabytes": safetensors({}, length=2**63),
        "header-of-minus-one": safetensors({}, length=2**64 - 1),
        "header-of-a-hundred-megabytes": safetensors({}, length=99_999_999),
        "empty-header": safetensors({}, length=0),
        "header-that-is-not-json": safetensors(b"{" * 100),
        "header-that-is-not-text": safetensors(b"\xff\xfe" * 100),
        "header-that-is-deep": safetensors(deep),
        "header-that-is-a-list": safetensors(b"[]"),
        "tensor-of-exabytes": safetensors(tensor(shape=[10**9, 10**9]), bytes(4)),
        "tensor-beyond-64-bits": safetensors(tensor(shape=[2**62, 2**62]), bytes(4)),
        "tensor-of-minus-one": safetensors(tensor(shape=[-1]), bytes(4)),
        "tensor-beyond-the-end": safetensors(tensor(shape=[10**9], offsets=[0, 4 * 10**9]), bytes(4)),
        "tensor-backwards": safetensors(tensor(offsets=[4, 0]), bytes(4)),
        "tensor-of-unknown-type": safetensors(tensor(dtype="EVIL"), bytes(4)),
        "overlapping-tensors": safetensors({**tensor(), "v": tensor()["w"]}, bytes(4)),
        "no-digest": save(weights, {"segreg": json.dumps(ABOUT)}),
        "no-metadata": save(weights),
        "metadata-that-is-not-json": save(weights, {"segreg": "nonsense"}),
        "metadata-that-is-deep": save(weights, {"segreg": deep.decode()}),
        "metadata-of-digits": save(weights, {"segreg": "1" * 100_000}),
        "metadata-that-is-a-list": save(weights, {"segreg": "[]"}),
        "metadata-null": save(weights, {"segreg": "null"}),
        "other-weights": saved({"w": torch.zeros(1)}, ABOUT),
        "fewer-weights": saved(dict(list(weights.items())[1:]), ABOUT),
        "normalize": about(normalize="os.system"),
        "normalize-of-a-list": about(normalize=[[]]),
    }
    names = [
        "os:system",
        "os.system",
        "evil_module",
        "evil_module:Payload",
        "evil_module/payload",
        "segreg.plugins:Plugin",
    ]
    names += ["../../unet", "", "\0", "u" * 10**6, "unet:width=1000000000", "unet:evil=1", "evil_module.Payload"]
    cases |= {f"architecture-{name[:30]}": about(architecture=name) for name in names}
    cases |= {f"architecture-{type(name).__name__}": about(architecture=name) for name in (None, 3, [], {}, ["unet"])}
    options: list[Any] = [None, 3, [], "width", [["width", 8, 9]], {"evil": 1}, {"width": None}, {"width": [1]}]
    options += [{"width": 10**exponent} for exponent in (5, 9, 18, 30)]
    options += [{"width": -1}, {"in_channels": 10**9}, {"num_classes": 10**12}, {"depth": 10**9}, {"norm": "../.."}]
    options += [{"width": "9" * 5000}, {"__class__": 1}, {"self": 1}, {"": 1}]
    options = [{**ABOUT["options"], **value} if isinstance(value, dict) else value for value in options]
    cases |= {f"options-{number}": about(options=value) for number, value in enumerate(options)}
    sizes: list[Any] = [None, [], [10**9, 10**9], [-1, 32], "all", [32, 32, 32], [[]], [0.5, 32]]
    cases |= {f"normalize-size-{number}": about(size=value) for number, value in enumerate(sizes)}
    cases |= {
        f"normalize-classes-{number}": about(classes=value) for number, value in enumerate([None, [], 3, ["a"] * 9])
    }
    return cases


RECIPES = {
    "dotted-model": 'model = "os:system"',
    "module-model": 'model = "evil_module"',
    "module-and-class-model": 'model = "evil_module:Payload"',
    "attribute-model": 'model = "evil_module.Payload"',
    "namespaced-model": 'model = "evil_module/payload"',
    "segregs-own-class": 'model = "segreg.builtins.architectures.unet:UNet"',
    "path-model": 'model = "../../unet"',
    "dotted-loss": 'loss = "bce+evil_module:payload"',
    "namespaced-loss": 'loss = "bce+0.5*evil_module/payload"',
    "dotted-metric": 'metrics = ["evil_module.payload"]',
    "namespaced-data": 'data = "evil_module/payload"',
    "path-data": 'data = "/etc/passwd"',
    "normalize": 'normalize = "evil_module:payload"',
    "unknown-key": 'plugins = ["evil_module"]',
    "list-model": 'model = ["unet"]',
}

EVIL_MODULE = "from pathlib import Path\nPath({mark!r}).touch()\nPayload = payload = dict\n"

# The results of a run with the metric `iou`.
SOUND_RESULTS: dict[str, Any] = {
    "epoch": 1,
    "epochs": 2,
    "stopped_early": False,
    "metrics": {"train": {"iou": 0.5}, "valid": {"iou": None}},
    "per_class": {"train": {"iou": [0.5]}, "valid": {"iou": [None]}},
    "worst": [{"name": "1", "value": 0.5}],
    "classes": ["lesion"],
    "images": {"train": 4, "valid": 2},
    "digests": {"train": "a", "valid": "b"},
    "skipped": 0,
    "parameters": 7,
    "seconds": 1.5,
    "images_per_second": 2.5,
    "device": "cpu",
}


def results() -> dict[str, bytes]:
    """Contents of `results.json`, by name."""
    cases = {
        "empty": b"",
        "text": b"nonsense",
        "list": b"[]",
        "nothing": b"null",
        "object": b"{}",
        "deep": b"[" * 100_000,
        "digits": b"1" * 100_000,
        "bytes": b"\xff\xfe\xfd",
    }
    sound = SOUND_RESULTS
    cases |= {
        f"without-{name}": json.dumps({key: sound[key] for key in sound if key != name}).encode() for name in sound
    }
    others: list[Any] = [None, "x", -1, [], {}, [3], {"train": None}, {"train": {}}, {"train": {"iou": "x"}}, 1e400]
    for name in sound:
        for number, other in enumerate(others):
            # Text reads as a name, or a list of one name, and an empty list as no images of `worst/`.
            valid = [("worst", []), ("classes", "x"), ("device", "x")]
            if (name, other) not in valid:
                cases[f"{name}-{number}"] = json.dumps({**sound, name: other}).encode()
    return cases


_HEADER = b"epoch,train_loss,train_iou,valid_loss,valid_iou,lr,seconds,images_per_second\n"
SOUND_HISTORY = _HEADER + b"1,1,0.5,1,nan,0.1,2,3\n"
HISTORIES = {
    "empty": b"",
    "text": _HEADER + b"1,nonsense,0,0,0,0,0,0\n",
    "short-row": _HEADER + b"1\n",
    "long-row": SOUND_HISTORY + b"2,1,1,1,1,1,1,1,1\n",
    "other-columns": b"epoch,loss\n1,2\n",
    "epoch-missing": _HEADER + b"2,1,0.5,1,nan,0.1,2,3\n",
    "epoch-twice": SOUND_HISTORY + b"1,1,0.5,1,nan,0.1,2,3\n",
    "bytes": _HEADER + b"\xff\xfe\n",
    "zeros": _HEADER + b"\0\0\n",
    "unterminated-field": _HEADER + b'"' + b"1" * 200_000,
}


def samples() -> dict[str, bytes]:
    """Contents of `samples.safetensors` of a run at 32×32, by name."""
    sound = {"images": torch.zeros(4, 3, 32, 32, dtype=torch.uint8)}
    sound |= {name: torch.zeros(4, 32, 32, dtype=torch.uint8) for name in ("masks", "predictions")}
    many = {name: tensor.repeat(750, *[1] * (tensor.ndim - 1)) for name, tensor in sound.items()}
    return {
        "sound": saved(sound),
        "three-thousand-images": saved(many),
        "without-masks": saved({name: tensor for name, tensor in sound.items() if name != "masks"}),
        "other-size": saved({name: tensor[..., :4] for name, tensor in sound.items()}),
        "floats": saved({name: tensor.float() for name, tensor in sound.items()}),
        "fewer-predictions": saved({**sound, "predictions": sound["predictions"][:2]}),
        "flat-images": saved({**sound, "images": torch.zeros(4, dtype=torch.uint8)}),
        "scalar-images": saved({**sound, "images": torch.tensor(1, dtype=torch.uint8)}),
    }
