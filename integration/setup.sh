#!/usr/bin/env bash
# Installs what the tests and the demonstration need and this machine lacks, from Debian's packages. Nothing is done, and no network
# asked, where everything is there.
set -euo pipefail

# command:package
needed=(ovs-vswitchd:openvswitch-switch ovsdb-server:openvswitch-switch ovs-vsctl:openvswitch-switch
    ip:iproute2 ethtool:ethtool curl:curl nsenter:util-linux dnsmasq:dnsmasq-base dhclient:isc-dhcp-client dockerd:docker.io debootstrap:debootstrap lintian:lintian
    tmux:tmux)

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
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
