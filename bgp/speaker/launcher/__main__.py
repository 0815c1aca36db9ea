"""Take over ExaBGP, or say why not, and run it. SHELL."""

from __future__ import annotations

import errno
import sys

from bgp.speaker.launcher.clock import keep_time
from bgp.speaker.launcher.dialling import dial_soon
from bgp.speaker.launcher.known import why_not
from bgp.speaker.launcher.listening import listen_with_care
from bgp.speaker.launcher.refusal import refuse_sessions
from bgp.speaker.launcher.resting import rest_longer
from bgp.speaker.launcher.takeover import take_over


def main() -> None:
    """Become `exabgp server`."""
    config, path, mode = sys.argv[1:4]
    problem = why_not()
    if not problem:
        if mode != "stock":
            take_over(path)
        keep_time()
        refuse_sessions()
        listen_with_care()
        dial_soon()
        rest_longer()
    what = "NOTIFICATIONs" if mode == "stock" else "receive path and NOTIFICATIONs"
    words = f"no {what} of our own: {problem}" if problem else f"{what} of our own"
    print(f"launcher: {words}", file=sys.stderr, flush=True)
    if problem and mode == "fast":
        sys.exit(errno.EINVAL)
    sys.argv = ["exabgp", "server", config]
    from exabgp.application.main import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
