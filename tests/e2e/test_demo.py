from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {
    "start_to_tor_fib_ms",
    "sessions_established",
    "ping_lost",
    "source_kept",
    "ecmp_legs_used",
    "link_cut_gap_ms",
    "speaker_agent_kill_lost",
    "control_lost",
    "withdraw_ms",
    "left_behind",
}


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_demo() -> None:
    done = subprocess.run(
        [ROOT / "dev", "demo", "--json"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    checks = json.loads(done.stdout)["checks"]
    bad = [check for check in checks if not check["ok"]]
    assert not bad, json.dumps(bad, indent=1) + done.stderr
    assert {check["name"] for check in checks} == CHECKS
    assert done.returncode == 0
