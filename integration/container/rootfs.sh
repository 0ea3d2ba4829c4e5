#!/usr/bin/env bash
# Makes the root file system that the integration tests run in where it is not this machine's, in a container or in a virtual machine:
# from the packages of Debian, or of Ubuntu, alone.
#
#   rootfs.sh    builds what the cache does not hold, prints the tar file
#
# RELEASE: the release of Debian in it: bullseye, bookworm (the default), trixie or sid; or of Ubuntu: jammy or noble.
# MIRROR: where the packages are; otherwise where this machine has its own from, and those of Ubuntu beside them, as many mirrors do.
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
more=() # options of debootstrap
script=
case $suite in
jammy | noble)
    more=(--components=main,universe)
    script=gutsy # that of every release of Ubuntu since; not each debootstrap has their names
    ;;
esac
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

# Ubuntu signs with keys that Debian need not have: they are in a package of Ubuntu's, of which this is the sum.
ubuntu_keys=pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb
ubuntu_sum=36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8

get_ubuntu_keys() {
    curl -sSfL -o "$root/keys.deb" "$mirror/$ubuntu_keys"
    echo "$ubuntu_sum  $root/keys.deb" | sha256sum --quiet -c - >&2
    dpkg-deb -x "$root/keys.deb" "$root/keys"
    more+=(--keyring="$root/keys/usr/share/keyrings/ubuntu-archive-keyring.gpg")
}

build() {
    local tar=$1 # root is not local: the trap needs it
    root=$(mktemp -d "$cache/rootfs.XXXXXX")
    trap 'rm -rf "$root" "$tar.part"' EXIT
    export http_proxy=${http_proxy:-$(apt-config dump --format '%v' Acquire::http::Proxy 2>/dev/null || true)}
    [ -z "$script" ] || get_ubuntu_keys
    debootstrap --variant=minbase --include="$packages" "${more[@]}" "$suite" "$root/fs" "$mirror" $script >&2
    rm -rf "$root/fs"/var/cache/apt/archives/*.deb "$root/fs"/var/lib/apt/lists/* "$root/fs"/usr/share/doc/* "$root/fs"/usr/share/man/*
    tar -C "$root/fs" --one-file-system --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$tar.part" .
    mv "$tar.part" "$tar"
    rm -rf "$root"
    trap - EXIT
}

mirror=${MIRROR:-$(mirror | sed -n 1p)}
[ -n "$script" ] && [ -z "${MIRROR:-}" ] && mirror=${mirror%/debian*}/ubuntu
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
