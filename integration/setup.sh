#!/usr/bin/env bash
# Installs what the tests and the demo need and this machine lacks. Debian 12; as root or with sudo.
set -euo pipefail

# command -> package that has it
declare -A needs=(
	[ovs-vswitchd]=openvswitch-switch
	[dockerd]=docker.io
	[debootstrap]=debootstrap
	[ip]=iproute2
	[ethtool]=ethtool
	[make]=make
	[gcc]=gcc
)

missing=()
PATH=$PATH:/usr/sbin:/sbin
for command in "${!needs[@]}"; do
	command -v "$command" >/dev/null || missing+=("${needs[$command]}")
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
command -v apt-get >/dev/null || { echo "setup: please install: ${missing[*]}" >&2; exit 1; }
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"
log=$(mktemp)
if ! { "${sudo[@]}" apt-get update && DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	exit 1
fi
rm -f "$log"
