"""An API server: the fake one, or with PODROUTE_TEST_KUBECONFIG a real one.

Against a real one the tests make objects of their own names only, and remove them.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from router.kube.access import Access
from router.kube.cluster import Cluster
from router.kube.view import ClusterSettings
from router.reconcile.node_status import TAINT_KEY
from tests.support.contract_api import KUBECONFIG, ContractApi
from tests.support.kube_agent import NAMESPACE, PACE, Start
from tests.support.rights import right_for, rights


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


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(bookmark_s=0.2) as fake:
        taint = {"key": TAINT_KEY, "effect": "NoSchedule"}
        made = objects.node("node1", addresses=("10.0.0.11",), taints=(taint,))
        fake.put("nodes", made)
        data = {"config.yaml": "local_asn: 1\n"}
        fake.put("configmaps", objects.config_map("podroute", data), namespace=NAMESPACE)
        yield fake


@pytest.fixture
def start(api: FakeApi) -> Iterator[Start]:
    with ExitStack() as stack:

        def run(**changes: object) -> Cluster:
            settings = ClusterSettings(
                access=Access(server=api.url),
                node="node1",
                namespace=NAMESPACE,
                config_map="podroute",
                objects=False,
                pace=PACE,
            )
            woken = threading.Event()
            cluster = Cluster(replace(settings, **changes), woken.set)  # type: ignore[arg-type]
            stack.callback(cluster.close)
            return cluster

        yield run
    allowed = rights("ClusterRole") | rights("Role")
    assert {right_for(entry) for entry in api.requests()} <= allowed, (
        "deploy/kustomize/base/rbac.yaml"
    )
