"""What a prediction costs besides the model: reading files, resizing to the model's size and back, writing masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segreg
from segreg.nn.fuse import ready_to_predict
from segreg.prediction.mask_files import plan, predict_files
from segreg.support.device import autocast

IMAGES, SIZE = 16, 256


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> segreg.Predictor:
    out = tmp_path_factory.mktemp("run") / "run"
    return segreg.load(
        segreg.fit("unet", data="lesions:train=1,valid=1,test=1", size=SIZE, epochs=1, out=out, quiet=True)
    )


@pytest.mark.benchmark(group=f"{IMAGES} predictions of unet at {SIZE}x{SIZE}")
def test_the_model_alone(predictor: segreg.Predictor, benchmark: Any) -> None:
    model = ready_to_predict(predictor.model, predictor.device, "auto")
    images = torch.rand(IMAGES // 2, 3, SIZE, SIZE, device=predictor.device)

    def run() -> None:
        with torch.no_grad(), autocast(predictor.device, "auto"):
            for _ in range(2):
                model(images).sum().item()

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=f"{IMAGES} predictions of unet at {SIZE}x{SIZE}")
def test_files(predictor: segreg.Predictor, benchmark: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, 30, 40, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).resize((1024, 768)).save(tmp_path / f"{number}.jpg")

    def run() -> None:
        outputs = plan([tmp_path], tmp_path / "out", overlays=False, probabilities=False, existing="replace")
        assert not predict_files(predictor, outputs, lambda *_: None)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
