"""A network of several plugins, executed as libcni does (CNI SPEC.md, section 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.cni_node import Answer, CniNode

DEBIAN_PLUGINS: Final = Path("/usr/lib/cni")


class PluginChain:
    """One network on one node; keeps the result of each ADD as a runtime's cache does."""

    def __init__(
        self,
        node: CniNode,
        plugins: Sequence[Mapping[str, Any]],
        version: str = "1.0.0",
        *,
        cni_args: str | None = None,
    ) -> None:
        """*plugins* as in a .conflist, ours included; every plugin gets the same *cni_args*."""
        self._cni_args = cni_args
        self.node = node
        self.plugins = plugins
        self.version = version
        self.results: dict[str, Any] = {}

    def add(self, sandbox: str, runtime_config: Mapping[str, Any] | None = None) -> Any:
        """ADD through the whole chain; return the last plugin's result."""
        result = None
        for plugin in self.plugins:
            answer = self.call("ADD", plugin, sandbox, result, runtime_config or {})
            assert answer.exit_code == 0, (plugin, answer)
            result = answer.body
        self.results[sandbox] = result
        return result

    def check(
        self, sandbox: str, runtime_config: Mapping[str, Any] | None = None
    ) -> dict[str, Answer]:
        """CHECK each plugin with the final result; return the answers by type."""
        return {
            plugin["type"]: self.call(
                "CHECK", plugin, sandbox, self.results[sandbox], runtime_config or {}
            )
            for plugin in self.plugins
        }

    def delete(self, sandbox: str, runtime_config: Mapping[str, Any] | None = None) -> None:
        """DEL in reverse order, with the final result."""
        for plugin in reversed(self.plugins):
            result = self.results.get(sandbox)
            answer = self.call("DEL", plugin, sandbox, result, runtime_config or {})
            assert (answer.exit_code, answer.stdout) == (0, ""), (plugin, answer)

    def call(
        self,
        command: str,
        plugin: Mapping[str, Any],
        sandbox: str,
        result: Any,
        runtime_config: Mapping[str, Any],
    ) -> Answer:
        """Execute one plugin; of the runtime's configuration it gets what it declares."""
        config = {"cniVersion": self.version, "name": "podroute", **plugin}
        wanted = {key for key, value in plugin.get("capabilities", {}).items() if value}
        given = {key: value for key, value in runtime_config.items() if key in wanted}
        if given:
            config["runtimeConfig"] = given
        if result is not None:
            config["prevResult"] = result
        node = self.node
        is_ours = plugin["type"] == "podroute"
        done = node.namespace.run(
            [node.shim if is_ours else DEBIAN_PLUGINS / plugin["type"]],
            check=False,
            timeout_s=30,
            env=node.environment(command, sandbox, CNI_ARGS=self._cni_args),
            input=json.dumps(config),
        )
        return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
