"""An exported model of segmentation_models_pytorch runs without it."""

from pathlib import Path

import torch

import segreg


def test_it_is_exported(tmp_path: Path) -> None:
    run = segreg.fit(
        "smp/unet",
        data="lesions:train=2,valid=1,test=1",
        size=32,
        epochs=1,
        out=tmp_path / "run",
        device="cpu",
        quiet=True,
    )
    made = segreg.export(run, format="torch-export", quiet=True)
    assert made.metadata["plugin"].startswith("segreg-smp ")
    program, model = torch.export.load(made.path).module(), run.model()
    images = torch.rand(2, 3, 45, 71)
    with torch.no_grad():
        torch.testing.assert_close(program(images), model(images))
