"""The conformance kit: the plugin and its optimizers with their defaults, and decoders on small backbones."""

import pytest

import segreg
from segreg.testing import Case, conformance_cases

CASES = [case for case in conformance_cases("timm") if not case.subject.label.startswith("architecture ")]
# The last two: channels-last features, and features all of one stride.
SMALL = conformance_cases(
    *(f"timm/{decoder}:backbone=test_resnet" for decoder in ("unet", "fpn", "deeplabv3plus")),
    "timm/unet:backbone=convnext_atto",
    "timm/fpn:backbone=test_vit",
)


def test_no_decoder_is_left_out() -> None:
    declared = {entry.key for entry in segreg.components("architecture") if entry.plugin.namespace == "timm"}
    assert {case.subject.label.split()[-1].partition(":")[0] for case in SMALL} == declared


@pytest.mark.parametrize("case", CASES + SMALL)
def test_conformance(case: Case) -> None:
    case.run()
