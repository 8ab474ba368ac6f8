"""A run in bfloat16 ends where the same run in float32 does."""

from pathlib import Path

import segreg
from tests.builtins.datasets.files import DATA, realdata


def scores(data: str, precision: str, folder: Path) -> float:
    run = segreg.fit(
        "unet:width=8,depth=3",
        data=data,
        size=48,
        epochs=8,
        batch=8,
        precision=precision,
        out=folder / precision,
        quiet=True,
    )
    iou: float = run.results["metrics"]["valid"]["iou"]
    return iou


def within_a_hundredth(data: str, folder: Path) -> None:
    in_bf16, in_fp32 = scores(data, "bf16", folder), scores(data, "fp32", folder)
    # Far above an untrained model, or the two would agree even if something was wrong.
    assert in_fp32 > 0.5
    assert abs(in_bf16 - in_fp32) <= 0.01


def test_bfloat16_matches_float32_on_lesions(tmp_path: Path) -> None:
    within_a_hundredth("lesions:train=32,valid=24,test=1", tmp_path)


@realdata("PH2Dataset")
def test_bfloat16_matches_float32_on_ph2(tmp_path: Path) -> None:
    within_a_hundredth(f"ph2:root={DATA / 'PH2Dataset'}", tmp_path)
