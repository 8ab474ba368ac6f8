"""A model of segmentation_models_pytorch runs without it, once it is exported."""

from pathlib import Path

import numpy as np
import onnxruntime
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
    made = segreg.export(run, quiet=True)
    assert made.metadata["plugin"].startswith("segreg-smp ")
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((2, 3, 45, 71), dtype=np.float32)
    [logits] = session.run(["logits"], {"images": images})
    with torch.no_grad():
        expected = run.model()(torch.from_numpy(images)).numpy()
    assert np.abs(logits - expected).max() < 1e-3 * expected.std()
