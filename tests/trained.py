"""A few trained runs, which several tests use as a user would."""

from pathlib import Path

import pytest

import segreg
from segreg.builtins.datasets.camvid import example


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> segreg.Run:
    """A model that sees at most ten pixels around, and separates skin from lesion well enough to predict both."""
    return segreg.fit(
        "unet:width=4,depth=1",
        data="lesions:train=16,valid=4,test=6",
        size=48,
        epochs=4,
        lr=0.01,
        out=tmp_path_factory.mktemp("runs") / "run",
        device="cpu",
        quiet=True,
    )


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of a different size, as a lossless file."""
    from PIL import Image

    image, _ = segreg.dataset("lesions", train=1, valid=1, test=1).splits["test"][0]
    path = tmp_path_factory.mktemp("images") / "photograph.png"
    Image.fromarray(image).resize((203, 150)).save(path)
    return path


@pytest.fixture(scope="session")
def of_classes(tmp_path_factory: pytest.TempPathFactory) -> segreg.Run:
    """A model of several classes, which has learnt almost nothing."""
    folder = tmp_path_factory.mktemp("classes")
    example(folder / "camvid")
    return segreg.fit(
        "unet:width=2,depth=1",
        loss="cross-entropy",
        data=f"camvid:root={folder / 'camvid'}",
        size=32,
        epochs=1,
        out=folder / "run",
        quiet=True,
    )
