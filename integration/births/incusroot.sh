#!/usr/bin/env bash
# Makes a root file system of Debian 13 with Incus, once, and prints where it is; `make test-incus`
# calls it. It stays in PORTCULLIS_CACHE, as what the container's image is made of.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTCULLIS_CACHE:-$here/../../.cache}/births
root=$cache/trixie-incus
mkdir -p "$cache"
if [ ! -e "$root" ]; then
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    # The mirror that this machine itself uses has the other releases, too.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" | sed -n 1p)
    debootstrap --variant=minbase \
        --include=incus-base,openvswitch-switch,busybox-static,python3,iproute2,procps trixie "$part" \
        "$mirror" >&2
    chmod 755 "$part"
    mv "$part" "$root"
    trap - EXIT
fi
(cd "$root" && pwd)
