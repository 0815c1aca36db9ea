"""Run the route agent: open what it needs, wait for settings, turn the loop, end in order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bgp.speaker.launch import may_bind_low_ports
from bgp.speaker.process import Speaker, SpeakerProcessSettings
from router.agent.api import LocalApi
from router.agent.bfd_link import BfdLink
from router.agent.circumstances import METRICS, Circumstances
from router.agent.cleared_file import ClearedFile
from router.agent.cluster_telling import ClusterTelling
from router.agent.cni_door import ask_server
from router.agent.control import Control
from router.agent.core import RouteAgent
from router.agent.doors import Doors
from router.agent.drain_file import DrainFile
from router.agent.health import HealthServer
from router.agent.lock import agent_lock
from router.agent.memory import spare_the_collector
from router.agent.node_file import NodeFile
from router.agent.page.findings import Examine
from router.agent.requests import Inbox, Wake
from router.agent.service_file import ServiceFile
from router.agent.shells import Shells
from router.agent.source import SettingsSource
from router.config.document import ConfigError
from router.config.file import LAST_GOOD, DocumentFile, LastGood
from router.config.settings import AgentSettings
from router.kernel.channel import Channel
from router.kernel.fib import FibTable
from router.kernel.form import choose_form
from router.kernel.link import LinkTable
from router.kernel.monitor import Monitor
from router.kernel.router_advertisement import RouterAdvertisements
from router.kernel.rules import OwnTable, RuleTable
from router.kernel.service_filter import ServiceFilter
from router.kernel.sysctl import Sysctls

if TYPE_CHECKING:  # the API client costs 20 MB; only cluster mode loads it
    from router.kube.cluster import Cluster
    from router.kube.view import ClusterSettings

_log = logging.getLogger(__name__)
_SPEAKER_STOP_S: Final = 5.0
_WAIT_S: Final = 1.0
_CNI_S: Final = 3.0
LEFT_FOR_GOOD: Final = 10
"""Exit status after `stop --withdraw`: whoever supervises us shall not start us again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    config: Path | None
    """The document; None takes the ConfigMap (cluster mode)."""
    run_dir: Path
    state_dir: Path
    """Survives a reboot; holds the drain."""
    proc_sys: Path = Path("/proc/sys")
    """Below it the node's sysctls are read and written."""
    health: tuple[str, int] | None = None
    """Where kubelet's probes are answered."""
    cluster: ClusterSettings | None = None
    examine: Examine | None = None
    """The doctor's look at this node, for the status page."""


def read_settings(path: Path) -> AgentSettings:
    """Read a file once. Raises OSError or ConfigError."""
    document = DocumentFile(path)
    document.text()
    source = SettingsSource(document=document, cluster=None, host_name=socket.gethostname())
    settings = source.take(())
    if settings is None:
        raise ConfigError(str(path), source.problems)
    return settings


def run_router(options: Options) -> int:
    """Run until told to stop; return the exit status.

    Raises ConfigError, OSError or AlreadyRunningError before anything was changed. A wrong
    file is an error at the start; in cluster mode the agent waits until there is a right one.
    """
    if options.config is not None and options.cluster is None:
        read_settings(options.config)
    options.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(agent_lock(options.run_dir / "router.lock"))
        wake = Wake()
        cluster = _open_cluster(options, wake, stack)
        channel = stack.enter_context(Channel())
        links = LinkTable()
        stack.callback(links.close)
        source = SettingsSource(
            document=DocumentFile(options.config) if options.config is not None else None,
            cluster=cluster,
            host_name=socket.gethostname(),
            last_good=LastGood(options.state_dir / LAST_GOOD),
        )
        control = Control(
            inbox=Inbox(wake),
            wake=wake,
            source=source,
            cluster=cluster,
            ask_cni=lambda: ask_server(options.run_dir, _CNI_S),
        )
        stack.callback(LocalApi(options.run_dir / "router.sock", control.routes()).close)
        if options.health is not None:
            stack.callback(HealthServer(options.health, control.probes()).close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: control.end())
        telling = _open_telling(cluster, options.run_dir, stack)
        settings = _first_settings(source, links, control, telling)
        if settings is None:
            control.answer_stop()
            return 0
        table = FibTable(channel, settings.place)
        monitor = Monitor(table.port_id, wake)
        stack.callback(monitor.close)
        advertisements = RouterAdvertisements(wake)
        stack.callback(advertisements.close)
        bfd = BfdLink(options.run_dir / "bfd" / "control.sock", wake)
        # After the speaker: its connections go first, then BFD says goodbye if we leave for good.
        stack.callback(lambda: bfd.close(leaving=control.withdrawn is not None))
        low_ports = settings.listens_low and may_bind_low_ports()
        speaker = Speaker(
            SpeakerProcessSettings(
                run_dir=options.run_dir / "speaker",
                uid=settings.speaker_uid,
                gid=settings.speaker_gid,
                receive=settings.speaker_receive,
                low_ports=low_ports,
            ),
            wake,
        )
        stack.callback(speaker.stop, _SPEAKER_STOP_S)
        node_file = options.run_dir / "node.json"
        agent = RouteAgent(
            settings,
            Shells(
                fib=table,
                links=links,
                monitor=monitor,
                sysctls=Sysctls(options.proc_sys, options.run_dir / "sysctls.json"),
                speaker=speaker,
                publish=NodeFile(node_file).publish,
                bfd=bfd,
                advertisements=advertisements,
                drain=DrainFile(options.state_dir),
                place=OwnTable(RuleTable(channel), table),
                cleared=ClearedFile(options.run_dir / "cleared.json"),
                services=ServiceFile(options.run_dir / "services.json"),
                rejections=stack.enter_context(contextlib.closing(ServiceFilter())),
            ),
            Circumstances(
                metrics=METRICS,
                form=choose_form(settings.nexthops, channel),
                resumed=node_file.exists(),
                expects_pod_cidrs=cluster is not None,
                low_ports=low_ports,
            ),
        )
        control.agent = agent
        doors = stack.enter_context(contextlib.closing(Doors.of(control, options.examine)))
        spare_the_collector()
        _log.info("route agent started", extra={"node": settings.node})
        _loop(agent, source, control, doors, cluster, telling)
        control.answer_stop()
        _log.info("route agent stops", extra={"withdrawn": control.withdrawn})
    return 0 if control.withdrawn is None else LEFT_FOR_GOOD


def _open_cluster(options: Options, wake: Wake, stack: contextlib.ExitStack) -> Cluster | None:
    if options.cluster is None:
        return None
    from router.kube.cluster import Cluster  # noqa: PLC0415

    cluster = Cluster(options.cluster, wake)
    stack.callback(cluster.close)
    return cluster


def _open_telling(
    cluster: Cluster | None, run_dir: Path, stack: contextlib.ExitStack
) -> ClusterTelling | None:
    if cluster is None:
        return None
    telling = ClusterTelling(cluster, lambda: ask_server(run_dir, _CNI_S))
    stack.callback(telling.close)
    return telling


def _first_settings(
    source: SettingsSource, links: LinkTable, control: Control, telling: ClusterTelling | None
) -> AgentSettings | None:
    """Wait for settings, telling why there are none; None if told to stop meanwhile."""
    told = ""
    while not control.ended:
        settings = source.take(links.gateways())
        if settings is not None:
            return settings
        reason = source.waiting or source.problem
        if reason != told:
            _log.warning("waiting for a configuration", extra={"reason": reason})
            told = reason
        if telling is not None and source.problem:
            telling.waits(source.node_name, source.problem)
        control.turn(_WAIT_S)
    return None


def _loop(
    agent: RouteAgent,
    source: SettingsSource,
    control: Control,
    doors: Doors,
    cluster: Cluster | None,
    telling: ClusterTelling | None,
) -> None:
    told = ""
    while not control.ended:
        discovered = agent.discovered
        settings = source.take(agent.gateways, discovered)
        if settings is not None:
            agent.reconfigure(settings)
        reason = source.problem or source.waiting
        if reason:
            agent.problems["configuration"] = f"not in force: {reason}"
        else:
            agent.problems.pop("configuration", None)
        if source.memory_problem:
            agent.problems["memory"] = source.memory_problem
        else:
            agent.problems.pop("memory", None)
        if reason and reason != told:
            _log.error("configuration not in force", extra={"reason": reason})
        told = reason
        doors.serve(agent)
        before = agent.verdict.state
        if cluster is not None:
            view = cluster.take()
            agent.serving.services, agent.node = view.services, view.node
            agent.duplicates.claims = view.claims
        pause_s = agent.step()
        if telling is not None:
            telling.tell(agent, before)
        # What the step has just seen of a link need not wait for the next event.
        control.turn(pause_s if agent.discovered == discovered else 0.0)
        if control.withdraw_until is not None:
            agent.announcer.withdrawing = True
            agent.step()
            control.judge_withdrawal(agent.is_withdrawn(), time.monotonic())
