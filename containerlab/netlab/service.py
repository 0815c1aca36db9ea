"""What an image would run, and how this runner starts the same on this machine. PURE.

A namespace node has no image; its programs are this machine's. The table says which program stands
for which image, so that a topology written for containerlab starts the same daemons here.
"""

import re
from dataclasses import dataclass

# As the image's own docker-start: the daemons named in /etc/frr/daemons with the options given
# there, then the integrated configuration. Not under watchfrr: a daemon that a test kills must stay
# dead until the test starts it again.
_FRR_START = """
failed=0
log_success_msg() { :; }
log_warning_msg() { echo "$*" >&2; }
log_failure_msg() { echo "$*" >&2; failed=1; }
. /usr/lib/frr/frrcommon.sh
install -d -o frr -g frr -m 0755 /run/frr
all_start || failed=1
exit "$failed"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Programs to start in a node: `needs` are paths of this machine, `start` runs in order.

    Each command of `start` must end by itself once its daemon is ready (daemons put themselves in
    the background); anything but exit status 0 is a failure of the node.
    """

    name: str
    needs: tuple[str, ...] = ()
    start: tuple[tuple[str, ...], ...] = ()


FRR = Service(
    name="frr",
    needs=("/usr/lib/frr/frrcommon.sh", "/usr/lib/frr/zebra", "/usr/bin/vtysh"),
    start=(("bash", "-c", _FRR_START),),
)
BIRD = Service(
    name="bird",
    needs=("/usr/sbin/bird",),
    start=(
        ("install", "-d", "/run/bird"),
        # Without -f, bird goes to the background itself once it has read its configuration.
        (
            *("bird", "-c", "/etc/bird/bird.conf", "-s", "/run/bird/bird.ctl"),
            *("-P", "/run/bird/bird.pid"),
        ),
    ),
)
# gobgpd stays in the foreground and has no pid file; it serves once its API answers. With -r it
# tells peers that it kept its forwarding state (ADR 0012); at a first start they have none to keep.
_GOBGP_START = """
gobgpd -r -f /etc/gobgp/gobgpd.toml --api-hosts 127.0.0.1:50051 >/run/gobgpd.log 2>&1 &
for _ in $(seq 200); do
    if gobgp neighbor >/dev/null 2>&1; then exit 0; fi
    kill -0 $! 2>/dev/null || break
    sleep 0.05
done
tail -n 20 /run/gobgpd.log >&2
exit 1
"""
GOBGP = Service(
    name="gobgp",
    needs=("/usr/bin/gobgpd", "/usr/bin/gobgp"),
    start=(("bash", "-c", _GOBGP_START),),
)
NOTHING = Service(name="nothing")

_TABLE: tuple[tuple[re.Pattern[str], Service], ...] = (
    (re.compile(r"(?:.*/)?frrouting/frr"), FRR),
    (re.compile(r"(?:.*/)?bird"), BIRD),
    (re.compile(r"(?:.*/)?gobgp"), GOBGP),
    (re.compile(r"(?:.*/)?podroute-node"), NOTHING),
    (re.compile(r"(?:.*/)?(?:alpine|debian|netshoot)"), NOTHING),
)
KNOWN_IMAGES = "frrouting/frr, bird, gobgp, podroute-node, alpine, debian, netshoot"


def service_for(image: str) -> Service | None:
    """Return the service that stands for `image` (tag and digest do not matter), or None."""
    repository = re.sub(r"(?::[^/:@]+)?(?:@.*)?$", "", image)
    for pattern, service in _TABLE:
        if pattern.fullmatch(repository):
            return service
    return None
