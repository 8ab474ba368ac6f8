"""The plugins with components that the kit must not let pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from segreg.registry import registry


@pytest.fixture(autouse=True, scope="module")
def specimens() -> Iterator[None]:
    """Put them on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent / "site")
        registry.cache_clear()
        yield
    registry.cache_clear()
