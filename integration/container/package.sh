#!/usr/bin/env bash
# Tests the Debian package where it is at home: a Debian with systemd as its first process and Open vSwitch by its own units. The test
# installs, upgrades, removes and purges packages there. They are built here, of two versions.
#
#   package.sh [TEST FLAG...]        as of a compiled test binary: -test.v
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export PORTCULLIS_CACHE=${PORTCULLIS_CACHE:-$root/.cache}
packages=$PORTCULLIS_CACHE/packages

if [ -z "${PORTCULLIS_ENGINE:-}" ]; then
    rm -rf "$packages"
    mkdir -p "$packages"
    for version in 1.0.0 1.0.1; do
        file=$("$root/cmd/portcullis/package/build.sh" "$version")
        mv "$root/${file:?}" "$packages"
    done
    lintian --allow-root --fail-on error,warning "$packages"/*.deb
    (cd "$root" && CGO_ENABLED=0 go test -c -tags integration -o "$packages/integration.test" ./integration)
    PORTCULLIS_ENGINE=1 exec "$here/dockerd.sh" "${BASH_SOURCE[0]}" "$@"
fi

image=$("$here/image.sh")
name=portcullis-package-$$
trap 'docker rm -f "$name" >/dev/null 2>&1 || true' EXIT
# systemd wants a hierarchy of control groups of its own, and nothing else of the machine: no controller, no network. From 258 on it
# takes none but that of version 2, in which the container has a group.
groups='mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd &&
        mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd'
[ "${RELEASE:-}" != sid ] || groups='mount -t cgroup2 cgroup /sys/fs/cgroup'
docker run --name "$name" --detach --tty --network none --cgroupns private \
    --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_ADMIN --cap-add SYS_NICE --cap-add IPC_LOCK \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
    --device /dev/net/tun --tmpfs /run --tmpfs /tmp:exec -e container=docker -v "$packages:/packages:ro" \
    "$image" sh -c '
        mount -o remount,rw /sys && umount -R /sys/fs/cgroup
        '"$groups"'
        exec /lib/systemd/systemd' >/dev/null
booted() { docker exec "$name" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; }
for ((i = 0; i < 300; i++)); do
    booted && break
    sleep 0.2
done
booted || { docker logs "$name" >&2; echo "package.sh: systemd does not start" >&2; exit 1; }
docker exec -e CI="${CI:-}" -e PORTCULLIS_PACKAGES=/packages -w /tmp "$name" /packages/integration.test -test.run '^TestPackage$' "$@"
