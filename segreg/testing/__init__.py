"""The conformance kit: checks that a plugin and its components follow the contracts that everything else relies on.

In a plugin's tests:

    import pytest
    from segreg.testing import conformance_cases

    @pytest.mark.parametrize("case", conformance_cases("timm"))
    def test_conformance(case):
        case.run()

`segreg check timm` runs the same cases. The checks are frozen for plugins of the group `segreg.v1`: checks that are
added later are advisory.
"""

from segreg.testing.cases import Case, ConformanceWarning, conformance_cases
from segreg.testing.subject import CheckFailed

__all__ = ["Case", "CheckFailed", "ConformanceWarning", "conformance_cases"]
