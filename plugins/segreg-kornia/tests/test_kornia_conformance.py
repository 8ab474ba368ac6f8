"""The conformance kit, for the plugin and all its augmentations."""

import pytest

from segreg.testing import Case, conformance_cases


@pytest.mark.parametrize("case", conformance_cases("kornia"))
def test_conformance(case: Case) -> None:
    case.run()
