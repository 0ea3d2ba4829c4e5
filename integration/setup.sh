#!/usr/bin/env bash
# Installs what the tests (all), the demonstration (demo), the guests of libvirt (births) or the
# measurement under load (load) need and this machine lacks, from Debian's packages. Nothing is done,
# and no network asked, where everything is there.
#
#   setup.sh [demo|all|births|load]
set -euo pipefail

# command:package
needed=(ovs-vswitchd:openvswitch-switch ovsdb-server:openvswitch-switch ovs-vsctl:openvswitch-switch
    ip:iproute2 ethtool:ethtool nsenter:util-linux)
case ${1:-all} in
demo) ;;
load) needed+=(iperf3:iperf3 ovn-nbctl:ovn-common ovn-northd:ovn-central ovn-controller:ovn-host) ;;
all | births) needed+=(tmux:tmux curl:curl dnsmasq:dnsmasq-base dhclient:isc-dhcp-client dockerd:docker.io docker:docker-cli debootstrap:debootstrap lintian:lintian
    chromium:chromium dot:graphviz faketime:faketime node:nodejs npm:npm nginx:nginx caddy:caddy lxc-start:lxc busybox:busybox-static
    gcc:gcc gcc:libc6-dev) ;; # go test -race links with C
*) echo "setup.sh: $1: want demo, all, births or load" >&2; exit 2 ;;
esac

# Guests without KVM boot slowly, and are no part of `make test`.
[ "${1:-all}" != births ] || needed+=(libvirtd:libvirt-daemon virt-qemu-run:libvirt-daemon-driver-qemu
    virsh:libvirt-clients qemu-system-x86_64:qemu-system-x86)

missing=()
for pair in "${needed[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "setup: installing ${missing[*]}"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -q
# The client of Docker is a package of its own since Debian 13.
apt-cache show docker-cli >/dev/null 2>&1 || missing=("${missing[@]/#docker-cli/docker.io}")
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
