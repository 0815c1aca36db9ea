"""Shell: bring a whole topology up and down.

Everything of a lab lives in processes: no file, no name in /run/netns, nothing in the root network
or mount namespace. So nothing is left when the runner is killed (see init.py).
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from containerlab.netlab import registry
from containerlab.netlab.errors import HostError, LabError, NodeError, TopologyError
from containerlab.netlab.namespaces import Init
from containerlab.netlab.node import GONE_S, Node
from containerlab.netlab.parse import parse_topology
from containerlab.netlab.plan import (
    BASE_ENV,
    PROGRAMS,
    LabPlan,
    NodePlan,
    endpoints,
    make_plan,
    render_create_batch,
    render_setup,
    render_up_batch,
)
from containerlab.netlab.topology import Endpoint

SERVICE_START_S = 60.0
EXEC_S = 60.0


class Lab:
    """A running lab; use as a context manager, or call `down`."""

    def __init__(self, name: str, path: Path, nodes: Mapping[str, Node]) -> None:
        """Wrap nodes that run; `up` and `attach` make a Lab."""
        self.name = name
        self.path = path
        self.nodes = dict(nodes)
        self._inits: tuple[Init, ...] = ()
        self._is_ours = True

    @classmethod
    def up(cls, path: Path | str, environment: Mapping[str, str] | None = None) -> Self:
        """Bring up the topology file `path`; returns when all services and exec are done.

        `environment` (default: ours) fills the file's `${NAME}`. Raises TopologyError, HostError or
        NodeError; whatever was started is gone then. The lab ends with this process at the latest.
        """
        plan = load_plan(Path(path), os.environ if environment is None else environment)
        check_host(plan)
        inits: dict[str, Init] = {}
        try:
            for spec in plan.nodes:
                inits[spec.name] = Init.start(spec.name)
            nodes = _build(plan, inits)
        except BaseException:
            _end(tuple(inits.values()))
            for init in inits.values():
                init.close()
            raise
        lab = cls(plan.name, plan.path, nodes)
        lab._inits = tuple(inits.values())
        return lab

    @classmethod
    def attach(cls, path: Path | str) -> Self:
        """Return the lab that `python -m containerlab.netlab up` keeps running for `path`.

        Programs started through it outlive this process; the lab ends with `keeper.stop`, not with
        `down`, which only gives up the handles. Raises KeeperError if no such lab is up.
        """
        kept = registry.ask(Path(path), "describe")
        inits = {n["name"]: Init.find(n["name"], n["pid"]) for n in kept["nodes"]}
        nodes = {n["name"]: Node(n["name"], inits[n["name"]], n["env"]) for n in kept["nodes"]}
        ends = {
            Endpoint(node=a[0], interface=a[1]): Endpoint(node=b[0], interface=b[1])
            for a, b in kept["ends"]
        }
        Node.join(nodes, {a: b for a, b in ends.items() if {a.node, b.node} <= nodes.keys()})
        lab = cls(kept["lab"], Path(path), nodes)
        lab._inits = tuple(inits.values())
        lab._is_ours = False
        return lab

    def down(self) -> None:
        """End the lab and wait until its last process is gone. Idempotent."""
        if self._is_ours:
            _end(self._inits)
        for init in self._inits:
            init.close()
        self._inits = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()


def load_plan(path: Path, environment: Mapping[str, str]) -> LabPlan:
    """Read a topology file and decide what to build; TopologyError lists all that is wrong."""
    path = path.absolute()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(path, [f"cannot be read: {error}"]) from error
    return make_plan(parse_topology(text, path, environment))


def check_host(plan: LabPlan) -> None:
    """Raise HostError with everything this machine lacks for `plan`."""
    problems = [] if os.geteuid() == 0 else ["a lab needs root: it makes namespaces and mounts"]
    path = BASE_ENV["PATH"]
    problems += [f"program {p!r} is missing" for p in PROGRAMS if not shutil.which(p, path=path)]
    for node in plan.nodes:
        problems += [
            f"node {node.name}: service {node.service.name} needs {need}, which is not installed"
            for need in node.service.needs
            if not Path(need).exists()
        ]
        problems += [
            f"{plan.path}: node {node.name}: binds: {bind.source} does not exist"
            for bind in node.binds
            if not bind.source.exists()
        ]
    if problems:
        raise HostError(problems)


def _build(plan: LabPlan, inits: Mapping[str, Init]) -> dict[str, Node]:
    """Build all nodes of `plan` on their running inits, step by step (see plan.py)."""
    visible = tuple(
        dict.fromkeys(
            Path(folder).resolve()
            for folder in (Path(__file__).parents[2], plan.path.parent, sys.prefix, sys.base_prefix)
        )
    )
    for spec in plan.nodes:
        inits[spec.name].begin(render_setup(spec, visible))
    for init in inits.values():
        init.finish()
    _link(plan, inits)
    nodes = {spec.name: Node(spec.name, inits[spec.name], _with_own(spec)) for spec in plan.nodes}
    Node.join(nodes, endpoints(plan.links))
    _side_by_side(plan, lambda spec: _start_service(nodes[spec.name], spec))
    _side_by_side(plan, lambda spec: _run_exec(nodes[spec.name], spec))
    return nodes


def _with_own(spec: NodePlan) -> dict[str, str]:
    """Return the node's environment with the programs beside our Python last in PATH.

    So `podroute` is found in a node as it is in the image; all other names stay the machine's.
    """
    return {**spec.env, "PATH": f"{spec.env['PATH']}:{Path(sys.prefix, 'bin')}"}


def _link(plan: LabPlan, inits: Mapping[str, Init]) -> None:
    pids = {name: init.pid for name, init in inits.items()}
    for node in inits:
        _ip_batch(node, pids[node], render_create_batch(plan, node, pids))
    for node in inits:
        _ip_batch(node, pids[node], render_up_batch(plan, node))


def _ip_batch(node: str, pid: int, batch: str) -> None:
    """Run `ip -batch` in the node's network namespace and in our own pid namespace."""
    if not batch:
        return
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--net", "--", "ip", "-batch", "-"],
        input=batch,
        capture_output=True,
        text=True,
        check=False,
        timeout=EXEC_S,
    )
    if done.returncode:
        raise NodeError(node, "cannot make its links", done.stderr)


def _start_service(node: Node, spec: NodePlan) -> None:
    for command in spec.service.start:
        try:
            node.run(command, timeout_s=SERVICE_START_S)
        except NodeError as error:
            what = f"service {spec.service.name} did not start"
            raise NodeError(node.name, what, error.output or error.what) from error


def _run_exec(node: Node, spec: NodePlan) -> None:
    for command in spec.exec:
        node.run(command, timeout_s=EXEC_S)


def _side_by_side(plan: LabPlan, work: Callable[[NodePlan], None]) -> None:
    """Do `work` for all nodes at once; raise the first error in node order."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(plan.nodes))) as pool:
        futures = [pool.submit(work, spec) for spec in plan.nodes]
    errors = [error for future in futures if (error := future.exception())]
    if len(errors) > 1 and all(isinstance(error, LabError) for error in errors):
        raise LabError("\n".join(str(error) for error in errors)) from errors[0]
    if errors:
        raise errors[0]


def _end(inits: tuple[Init, ...]) -> None:
    for init in inits:
        init.kill()
    for init in inits:
        init.wait_gone(GONE_S)
