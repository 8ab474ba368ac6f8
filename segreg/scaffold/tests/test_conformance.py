"""segreg's conformance checks of the plugin and its components."""

import pytest
from segreg.testing import Case, conformance_cases


@pytest.mark.parametrize("case", conformance_cases("example"))
def test_conformance(case: Case) -> None:
    """Run one check of one component."""
    case.run()
