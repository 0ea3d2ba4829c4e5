#!/usr/bin/env bash
# Makes the root file system that the integration tests run in where it is not this machine's, in a container or in a virtual machine:
# from Debian packages alone.
#
#   rootfs.sh    builds what the cache does not hold, prints the tar file
#
# RELEASE: the release of Debian in it: bullseye, bookworm (the default), trixie or sid.
# WITH: packages beyond those of the tests, with commas between them.
#
# It is cached under PORTCULLIS_CACHE (default: .cache in the repository), by a hash of this script and of the mirror.
set -euo pipefail

suite=${RELEASE:-bookworm}
packages=openvswitch-switch,iproute2,curl,dnsmasq-base,iputils-ping,ethtool,kmod,procps,python3,tcpdump,util-linux,systemd-sysv
case $suite in
sid) packages+=,dhcpcd-base ;; # it has the other client no more
*) packages+=,isc-dhcp-client ;;
esac
packages+=${WITH:+,$WITH}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTCULLIS_CACHE:-$here/../../.cache}

# The mirror that this machine itself uses, in either of apt's formats: it has the other releases, too.
mirror() {
    local own
    own=$(. /etc/os-release && echo "$VERSION_CODENAME")
    find /etc/apt -name '*.sources' -exec cat {} + |
        awk -v suite="$own" '/^URIs:/ {uri = $2} /^Suites:/ {for (i = 2; i <= NF; i++) if ($i == suite) print uri}'
    find /etc/apt -name '*.list' -exec cat {} + |
        sed -E 's/^(deb) +\[[^]]*\]/\1/' | awk -v suite="$own" '$1 == "deb" && $3 == suite {print $2}'
}

build() {
    local tar=$1 # root is not local: the trap needs it
    root=$(mktemp -d "$cache/rootfs.XXXXXX")
    trap 'rm -rf "$root" "$tar.part"' EXIT
    http_proxy=${http_proxy:-$(apt-config dump --format '%v' Acquire::http::Proxy 2>/dev/null || true)} \
        debootstrap --variant=minbase --include="$packages" "$suite" "$root/fs" "$mirror" >&2
    rm -rf "$root/fs"/var/cache/apt/archives/*.deb "$root/fs"/var/lib/apt/lists/* "$root/fs"/usr/share/doc/* "$root/fs"/usr/share/man/*
    tar -C "$root/fs" --one-file-system --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$tar.part" .
    mv "$tar.part" "$tar"
    rm -rf "$root"
    trap - EXIT
}

mirror=$(mirror | sed -n 1p)
[ -n "$mirror" ] || { echo "rootfs.sh: no apt source of this machine has a mirror of Debian" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "rootfs.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
mkdir -p "$cache"
key=$( (echo "$suite $mirror $packages"; cat "${BASH_SOURCE[0]}") | sha256sum | cut -c1-16)
tar=$cache/image-$suite-$key.tar

# Two runs at once would build the same file twice.
exec 9>"$cache/image.lock"
flock 9
[ -s "$tar" ] || build "$tar"
echo "$tar"
