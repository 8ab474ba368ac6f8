"""The conformance kit: whether a plugin and its components keep the contracts that everybody else counts on.

In a plugin's tests:

    import pytest
    from segreg.testing import conformance_cases

    @pytest.mark.parametrize("case", conformance_cases("timm"))
    def test_conformance(case):
        case.run()

`segreg check timm` runs the same cases. The checks are frozen for plugins of the group `segreg.v1`: one that is added
later only advises.
"""

from segreg.testing.cases import Case, ConformanceWarning, conformance_cases
from segreg.testing.subject import CheckFailed

__all__ = ["Case", "CheckFailed", "ConformanceWarning", "conformance_cases"]
