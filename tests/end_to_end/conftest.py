"""What the end-to-end tests share."""

from pathlib import Path

import pytest

from tests.end_to_end.environment import ROOT, build_wheel


@pytest.fixture(scope="session")
def segreg_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of segreg as it is now."""
    return build_wheel(ROOT, "segreg", tmp_path_factory.mktemp("segreg-wheel"))
