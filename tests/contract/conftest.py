"""An API server: the fake one, or with PODROUTE_TEST_KUBECONFIG a real one.

Against a real one the tests make objects of their own names only, and remove them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.kube.access import Access
from tests.support.contract_api import ContractApi
from tests.support.fake_api.server import FakeApi

KUBECONFIG = "PODROUTE_TEST_KUBECONFIG"


@pytest.fixture
def contract() -> Iterator[ContractApi]:
    """Return the API server under test, with an empty namespace of our own."""
    given = os.environ.get(KUBECONFIG)
    namespace = f"podroute-test-{uuid.uuid4().hex[:8]}"
    if given:
        access = Access(kubeconfig=Path(given), user_agent="podroute-contract")
        with ContractApi(access, namespace) as api:
            yield api
        return
    with FakeApi(bookmark_s=0.5) as fake:
        access = Access(server=fake.url, user_agent="podroute-contract")
        with ContractApi(access, namespace, fake.compact) as api:
            yield api
