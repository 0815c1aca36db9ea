"""What the tests of the CNI plugin share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cni_node import build_shim


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the shim, once."""
    return build_shim(tmp_path_factory.mktemp("shim"))
