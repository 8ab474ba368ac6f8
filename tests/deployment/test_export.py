"""An exported model gives what the model gives, wherever it runs, and documents how to use it."""

import json
import logging
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

import segreg
from segreg import OptionError, RunError
from segreg.registry import registry
from tests.trial import call
from tests.trial import trial as trial

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "production.md"


def saved(expression: str, folder: Path, **changes: Any) -> segreg.Run:
    """A run with only weights: random ones, with batch norms that have seen images."""
    classes = changes.get("classes", ["lesion"])
    resolved = registry().resolve("architecture", expression, in_channels=3, num_classes=len(classes))
    torch.manual_seed(0)
    model = segreg.build(expression, in_channels=3, num_classes=len(classes)).train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model(torch.rand(4, 3, 64, 64))
    about = {
        "segreg": "0.1.0",
        "architecture": resolved.entry.key,
        "options": resolved.every_option(),
        "plugin": resolved.entry.plugin.origin,
        "classes": classes,
        "size": [48, 64],
        "normalize": "image",
        **changes,
    }
    run = segreg.Run(folder)
    run.write_model(model.state_dict(), about)
    return run


def random_batches(count: int = 5) -> list[torch.Tensor]:
    """Of sizes that are not multiples of any stride, and different from those that the export itself compares."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(batch, 3, 37 + 2 * batch, 50 + batch) for batch in range(1, count + 1)]
    return [torch.rand(shape, generator=generator) for shape in shapes]


def share_that_agrees(run: segreg.Run, logits: list[torch.Tensor]) -> float:
    model = run.model()
    with torch.no_grad():
        expected = [model(images) for images in random_batches(len(logits))]
    return sum(
        float((got - want).abs().max() <= 1e-3 * want.std()) for got, want in zip(logits, expected, strict=True)
    ) / len(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "unet:width=4,depth=2",
        "unet:width=4,depth=1,pool=conv,upsample=bilinear,norm=instance",
        "segnet-basic:width=8",
    ],
)
def test_onnx_matches_the_model(expression: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = saved(expression, tmp_path, classes=["skin", "läsion"])
    made = segreg.export(run, quiet=True)
    # What exporters log meanwhile is for their own authors.
    assert not [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    assert [each.shape for each in session.get_inputs()] == [["batch", 3, "height", "width"]]
    assert [each.shape for each in session.get_outputs()] == [["batch", 2, "height", "width"]]
    found = [session.run(["logits"], {"images": images.numpy()})[0] for images in random_batches()]
    # Between values equal up to rounding, SegNet may pick the other one, and then much of an image changes.
    assert share_that_agrees(run, list(map(torch.from_numpy, found))) >= (0.6 if "segnet" in expression else 1)

    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["skin", "läsion"]
    assert json.loads(metadata["size"]) == [48, 64]
    assert metadata["normalize"] == "none"
    assert metadata["plugin"].startswith("segreg ")
    assert segreg.build(metadata["architecture"]).state_dict().keys() == run.model().model.state_dict().keys()
    assert session.get_modelmeta().description == metadata["usage"]
    # The path of the code that the model was traced from must not leak.
    assert str(Path(segreg.__file__).parent).encode() not in made.path.read_bytes()


def test_an_exported_program_matches_the_model(tmp_path: Path) -> None:
    run = saved("segnet:width=8", tmp_path)
    made = segreg.export(tmp_path / "model.safetensors", format="torch-export", quiet=True)
    assert made.path == tmp_path / "model.pt2"
    # Its smallest feature map would be a single pixel, which torch.export treats as a special case.
    assert made.metadata["min_size"] == 33
    program = torch.export.load(made.path).module()
    with torch.no_grad():
        assert share_that_agrees(run, [program(images) for images in random_batches(2)]) == 1
    with zipfile.ZipFile(made.path) as archive:
        code = str(Path(segreg.__file__).parent).encode()
        assert not [part for part in archive.namelist() if code in archive.read(part)]


def test_normalisation_can_be_left_to_the_caller(tmp_path: Path) -> None:
    run = saved("unet:width=4,depth=1", tmp_path)
    made = segreg.export(run, format="torch-export", normalization=False, quiet=True)
    assert made.metadata["normalize"] == "image"
    assert "mean 0 and standard deviation 1" in made.metadata["usage"]
    program = torch.export.load(made.path).module()
    images = 0.2 + 0.3 * random_batches()[1].double().numpy()
    normalized = (images - images.mean((2, 3), keepdims=True)) / images.std((2, 3), keepdims=True)
    with torch.no_grad():
        got = program(torch.from_numpy(normalized).float())
        torch.testing.assert_close(got, run.model()(torch.from_numpy(images).float()), atol=1e-4, rtol=0)
        # Normalising twice is the same as normalising once.
        assert (program(torch.from_numpy(images).float()) - got).abs().max() > 0.1


def blocks(title: str) -> str:
    [block] = re.findall(rf'```python title="{title}"\n(.*?)```', GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


def test_the_guides_example_needs_neither_torch_nor_segreg(
    run: segreg.Run, photograph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: Any
) -> None:
    segreg.export(run, tmp_path / "model.onnx", quiet=True)
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)
    # A phone held upright stores the image rotated, with an EXIF orientation.
    turned = Image.open(photograph).getexif()
    turned[0x0112] = 6
    Image.open(photograph).save(tmp_path / "image.png", exif=turned)
    alone = "import sys\nsys.modules['torch'] = sys.modules['segreg'] = None\n"
    subprocess.run([sys.executable, "-c", alone + blocks("predict.py")], cwd=tmp_path, check=True, timeout=120)
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    expected = segreg.load(run, device="cpu", precision="fp32").predict(tmp_path / "image.png")
    assert set(np.unique(mask)) == {0, 255}
    assert mask.shape == expected.shape == (203, 150)
    assert (expected != mask // 255).mean() < 1e-3


def test_the_guides_example_for_torch(
    run: segreg.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    segreg.export(run, tmp_path / "model.pt2", format="torch-export", quiet=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("predict_with_torch.py"), "predict_with_torch.py", "exec"), {})
    assert capsys.readouterr().out == "['lesion'] torch.Size([2, 1, 64, 96])\n"


def test_the_command_prints_what_was_written(tmp_path: Path) -> None:
    saved("trial/dot", tmp_path, normalize="none")
    status, out, err = call("export", str(tmp_path), "--format", "torch-export", "--quiet")
    assert (status, err) == (0, "")
    assert re.search(
        r"model\.pt2: \d+\.\d MB\nimages: float32 \[B, 3, H, W\], red, green and blue in \[0, 1\], not", out
    )
    assert re.search(
        r"largest difference from the model: \d.*\(allowed: 1e-03\), on random images of 1×3×1×1, 3×3", out
    )

    written = (tmp_path / "model.pt2").read_bytes()
    status, _, err = call("export", str(tmp_path), "--format", "torch-export")
    assert (status, err.count("\n")) == (2, 1)
    assert "model.pt2 exists already: choose another --out, or overwrite it with --force" in err
    assert (tmp_path / "model.pt2").read_bytes() == written
    status, _, err = call("export", str(tmp_path), "--format", "torch-export", "--force", "-q")
    assert (status, err) == (0, "")


def test_a_model_with_data_dependent_control_flow_is_refused_in_one_line(tmp_path: Path) -> None:
    run = saved("trial/inward", tmp_path)
    with pytest.raises(RunError, match=r"^trial/inward cannot be exported as onnx: .*data-dependent") as caught:
        segreg.export(run, quiet=True)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_wrong_export_is_detected_and_not_kept(tmp_path: Path) -> None:
    run = saved("trial/rounding", tmp_path)
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(RunError, match=r"the exported logits differ from the model's by .* on images of 3×3×5×19"):
        segreg.export(run, force=True, quiet=True)
    assert (tmp_path / "model.onnx").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "onx"}, r"format is 'onx' \(did you mean 'onnx'\?\): expected onnx or torch-export"),
        ({"out": "model.pt"}, r"--out is model.pt: expected a .onnx file in an existing folder for onnx"),
        ({"out": "nowhere/model.onnx"}, r"--out is nowhere/model.onnx: expected a .onnx file in an existing folder"),
    ],
)
def test_mistakes_are_reported_before_the_export(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    run = saved("trial/dot", tmp_path)
    with pytest.raises(OptionError, match=message):
        segreg.export(run, **options)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved("trial/dot", tmp_path)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(OptionError, match=r"needs onnxscript: pip install onnxscript"):
        segreg.export(run)
