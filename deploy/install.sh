#!/bin/sh
# podroute on one plain node with systemd (Debian 12 or newer, Ubuntu 24.04 or newer), as root:
#
#   deploy/install.sh                      install, or upgrade to this checkout
#   deploy/install.sh --wheelhouse DIR     the same without a network: DIR holds all wheels
#   deploy/install.sh --cni-only           only the CNI server (its agent runs elsewhere)
#   deploy/install.sh --remove             take everything away; your configuration stays
#
# Idempotent. Running daemons are restarted, which loses no packet; nothing else is touched.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
source=$(dirname -- "$here")
home=/opt/podroute
versions=/opt/podroute.d
config=/etc/podroute/config.yaml
units=/etc/systemd/system
wheelhouse=
services='podroute-bfd podroute-router podroute-cni'

say() { printf '%s\n' "podroute: $*"; }
die() {
    printf '%s\n' "podroute: $*" >&2
    exit 1
}

mode=install
while [ $# -gt 0 ]; do
    case $1 in
        --wheelhouse)
            [ $# -ge 2 ] || die '--wheelhouse needs a directory'
            wheelhouse=$(CDPATH='' cd -- "$2" && pwd -P)
            shift
            ;;
        --cni-only) services=podroute-cni ;;
        --remove) mode=remove ;;
        *) die "unknown option $1 (see the head of this file)" ;;
    esac
    shift
done
[ "$(id -u)" -eq 0 ] || die 'please run as root'

# Without a running systemd (a chroot, an image being built) files are placed and nothing is started.
systemd() {
    if [ -d /run/systemd/system ]; then systemctl "$@"; fi
}

check_python() {
    python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    command -v apt-get >/dev/null || die 'python3 3.11 or newer with venv is needed'
    apt-get install -y --no-install-recommends python3-venv
    python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' ||
        die 'python3 3.11 or newer with venv is needed'
}

# Each version has a directory of its own, so that running daemons keep the files they began with.
install_version() {
    mkdir -p "$versions"
    target=$versions/$(date +%Y%m%d-%H%M%S)-$$
    python3 -m venv "$target"
    if [ -n "$wheelhouse" ]; then
        set -- --no-index --find-links "$wheelhouse"
        wheel=$(find "$wheelhouse" -name 'podroute-*.whl' | sort | tail -n 1)
        [ -n "$wheel" ] || die "no wheel of podroute in $wheelhouse"
    else
        set --
        wheel=$source
        if ! command -v musl-gcc >/dev/null && ! command -v gcc >/dev/null; then
            command -v apt-get >/dev/null || die 'a C compiler is needed for the CNI shim'
            apt-get install -y --no-install-recommends gcc libc6-dev
        fi
    fi
    "$target/bin/pip" install -q --no-input "$@" --require-hashes \
        -r "$source/requirements/runtime.txt"
    # Building from the checkout needs hatchling, which pip fetches for the build alone.
    "$target/bin/pip" install -q --no-input "$@" --no-deps "$wheel"
    ln -sfn "$target" "$home.new"
    mv -T "$home.new" "$home"
    # The one before stays for the daemons that still run from it.
    find "$versions" -mindepth 1 -maxdepth 1 -type d | sort | head -n -2 | xargs -r rm -rf
}

place_files() {
    install -D -m 644 "$here/host/podroute-rt_protos.conf" /etc/iproute2/rt_protos.d/podroute.conf
    if [ -d /etc/systemd/network ] || [ -d /run/systemd/network ]; then
        install -D -m 644 "$here/host/10-podroute-networkd.conf" \
            /etc/systemd/networkd.conf.d/10-podroute.conf
    fi
    if [ -d /etc/NetworkManager ]; then
        install -D -m 644 "$here/host/10-podroute-networkmanager.conf" \
            /etc/NetworkManager/conf.d/10-podroute.conf
    fi
    for service in $services; do
        install -D -m 644 "$here/systemd/$service.service" "$units/$service.service"
    done
    ln -sfn "$home/bin/podroute" /usr/local/bin/podroute
}

start() {
    systemd daemon-reload
    for service in $services; do
        if [ "$service" = podroute-router ] && ! [ -e "$config" ]; then
            say "write $config (docs/operations.md), then: systemctl enable --now podroute-router"
            continue
        fi
        if [ "$service" = podroute-bfd ] && ! grep -Eqs '^[^#]*\bbfd:' "$config"; then
            # No peer asks for it: a unit that is there and not enabled.
            continue
        fi
        systemd enable --quiet "$service"
        systemd restart "$service"
    done
    [ -d /run/systemd/system ] || say 'systemd does not run here: nothing was started'
}

if [ "$mode" = install ]; then
    if [ -e "$config" ] && [ -x "$home/bin/podroute" ]; then
        "$home/bin/podroute" router --config "$config" --check
    fi
    check_python
    install_version
    place_files
    "$home/bin/podroute" cni install
    start
    say "installed: $("$home/bin/podroute" --version)"
    exit 0
fi

# Removal: leave the fabric first, then everything else.
systemd disable --quiet podroute-router podroute-cni podroute-bfd 2>/dev/null || :
if [ -x "$home/bin/podroute" ]; then
    "$home/bin/podroute" stop --withdraw || :
    systemd stop podroute-router podroute-cni podroute-bfd 2>/dev/null || :
    "$home/bin/podroute" uninstall
fi
rm -f "$units/podroute-router.service" "$units/podroute-cni.service" "$units/podroute-bfd.service" \
    /etc/iproute2/rt_protos.d/podroute.conf \
    /etc/systemd/networkd.conf.d/10-podroute.conf \
    /etc/NetworkManager/conf.d/10-podroute.conf \
    /usr/local/bin/podroute "$home"
rm -rf "$versions" /var/lib/podroute
systemd daemon-reload
say "removed; $config stays if there is one"
