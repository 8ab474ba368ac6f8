"""The conformance kit, with the defaults and with backbones of other kinds."""

import pytest

from segreg.testing import Case, conformance_cases

DEFAULTS = conformance_cases("timm")
# Channels-last features, and features all of one stride.
OTHERS = conformance_cases("timm/unet:backbone=convnext_atto", "timm/fpn:backbone=test_vit")


def test_no_check_is_lost() -> None:
    assert len(DEFAULTS) >= 58


@pytest.mark.parametrize("case", DEFAULTS + OTHERS)
def test_conformance(case: Case) -> None:
    case.run()
