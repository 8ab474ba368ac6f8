"""The plugin and its losses with their defaults, and with small encoders the architectures changed most."""

import pytest

from segreg.testing import Case, conformance_cases

CASES = [case for case in conformance_cases("smp") if not case.subject.label.startswith("architecture ")]
SMALL = conformance_cases(
    "smp/unet:encoder=tu-test_resnet",
    "smp/pspnet:encoder=tu-test_resnet",
    "smp/pan:encoder=tu-test_resnet",
    "smp/segformer:encoder=tu-test_resnet",
)


@pytest.mark.parametrize("case", CASES + SMALL)
def test_conformance(case: Case) -> None:
    case.run()
