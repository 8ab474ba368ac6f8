"""The plugin and its losses with their defaults, and narrow networks."""

import pytest

from segreg.testing import Case, conformance_cases

CASES = [case for case in conformance_cases("monai") if not case.subject.label.startswith("architecture ")]
NARROW = conformance_cases(
    "monai/basicunet:features=[4,4,8,8,8,4]",
    "monai/basicunetplusplus:features=[4,4,8,8,8,4]",
    "monai/unet:channels=[4,8,8]",
    "monai/attentionunet:channels=[4,8,8]",
    "monai/segresnet",
    "monai/dynunet:filters=[4,8,8,8]",
    "monai/swinunetr:feature_size=12",
)


@pytest.mark.parametrize("case", CASES + NARROW)
def test_conformance(case: Case) -> None:
    case.run()
