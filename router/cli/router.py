"""`podroute router`: the route agent, from a file or in cluster mode."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.refusal import in_words

if TYPE_CHECKING:
    from router.kube.view import ClusterSettings

CONFIG: Final = Path("/etc/podroute/config.yaml")
CONFIG_MAP: Final = "podroute"
_USAGE_ERROR: Final = 2

Commands = argparse._SubParsersAction
"""argparse gives this type no public name."""


def add_router(
    commands: Commands[argparse.ArgumentParser],
    add_logging: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command."""
    router = commands.add_parser("router", help="run the route agent (daemon)")
    router.add_argument(
        "--config", type=Path, metavar="FILE", help=f"default {CONFIG}, or the ConfigMap"
    )
    router.add_argument("--check", action="store_true", help="only say whether FILE is valid")
    router.add_argument(
        "--health", metavar="HOST:PORT", help="answer /healthz and /readyz there, for probes"
    )
    cluster = router.add_argument_group(
        "cluster mode", "node facts, configuration and passwords from the Kubernetes API"
    )
    cluster.add_argument("--kubernetes", action="store_true", help="use the API")
    cluster.add_argument(
        "--node", metavar="NAME", help="our Node object (default: $PODROUTE_NODE, else host name)"
    )
    cluster.add_argument(
        "--namespace", metavar="NAME", help="ours (default: $PODROUTE_NAMESPACE, else podroute)"
    )
    cluster.add_argument(
        "--config-map", default=CONFIG_MAP, metavar="NAME", help=f"default {CONFIG_MAP}"
    )
    cluster.add_argument(
        "--objects",
        choices=("auto", "off"),
        default="auto",
        help="configuration by PodNetwork, BGPPeer and BGPAdvertisement where they are installed",
    )
    cluster.add_argument(
        "--api",
        default="",
        metavar="URL",
        help="address of the API server itself, so that no Service address is needed at boot"
        " (default: $PODROUTE_API)",
    )
    cluster.add_argument("--kubeconfig", type=Path, metavar="FILE", help="outside a pod")
    add_logging(router)
    router.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from bgp.errors import BgpError
    from router.agent.app import Options, run_router
    from router.agent.health import parse_listen
    from router.agent.lock import AlreadyRunningError
    from router.agent.logs import set_up_logs
    from router.agent.memory import give_back_buffers
    from router.cli.doctor import examine
    from router.config.document import ConfigError

    if options.check:
        return _check(options.config or CONFIG)
    set_up_logs(options.log_level, options.log_format)
    config: Path | None = options.config
    if config is None and not options.kubernetes:
        config = CONFIG
    give_back_buffers()
    try:
        return run_router(
            Options(
                config=config,
                run_dir=options.run_dir,
                state_dir=options.state_dir,
                proc_sys=options.proc_sys,
                health=parse_listen(options.health) if options.health else None,
                cluster=_cluster(options) if options.kubernetes else None,
                examine=lambda: examine(options),
            )
        )
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR
    except (OSError, ValueError, BgpError, AlreadyRunningError) as error:
        print(f"podroute router: {in_words(error)}", file=sys.stderr)
        return 1


def _check(config: Path) -> int:
    from router.agent.app import read_settings
    from router.config.document import ConfigError

    try:
        settings = read_settings(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR
    except OSError as error:
        print(f"podroute router: {in_words(error)}", file=sys.stderr)
        return _USAGE_ERROR
    print(f"{config}: valid; node {settings.node}, {len(settings.peers)} peers")
    return 0


def _cluster(options: argparse.Namespace) -> ClusterSettings:
    """Return what the agent needs of the API. Raises AccessError (a ValueError)."""
    return replace(
        cluster_settings(options, os.environ),
        config_map="" if options.config is not None else options.config_map,
        objects=options.objects != "off",
        memory=options.run_dir / "api.json",
    )


def cluster_settings(
    options: argparse.Namespace, environment: Mapping[str, str]
) -> ClusterSettings:
    """Return how to reach the API. Raises AccessError (a ValueError) saying what is missing."""
    from router.kube.access import Access, in_pod
    from router.kube.view import ClusterSettings

    server = options.api or environment.get("PODROUTE_API", "")
    if options.kubeconfig is not None:
        access = Access(server=server, kubeconfig=options.kubeconfig)
    else:
        access = in_pod(environment, server=server)
    namespace = getattr(options, "namespace", "") or environment.get("PODROUTE_NAMESPACE")
    return ClusterSettings(
        access=access,
        node=options.node or environment.get("PODROUTE_NODE") or os.uname().nodename,
        namespace=namespace or "podroute",
    )
