#!/usr/bin/env bash
# Runs the integration tests in a container: Open vSwitch as Debian packages it, on its userspace datapath, with no access to this
# machine's network. The test binary is built outside; bin/portcullis must exist.
#
#   run.sh [TEST FLAG...]        as of a compiled test binary: -test.run L2 -test.v
#   run.sh demo                  the demonstration
#   run.sh pages [TEST FLAG...]  the commands of the documentation, in an image that has the programs that they use
#
# RELEASE: the release of Debian or Ubuntu, and so of Open vSwitch: bullseye (2.15), bookworm (3.1, the default), trixie (3.5), sid (4.0);
# jammy (2.17), noble (3.3).
#
# Without flags all but those that take long and are about the daemon's clock and files, those of pages in a browser and of the
# documentation (whose programs the image has not, and to which the switch means nothing), and those of a fleet's database and of the API:
# for these a container is no other place. They wait more than they work, so four at a time.
#
# PORTCULLIS_REPORTS: a folder that failed tests leave their reports in.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export PORTCULLIS_CACHE=${PORTCULLIS_CACHE:-$root/.cache}

if [ -z "${PORTCULLIS_ENGINE:-}" ]; then
    [ -x "$root/bin/portcullis" ] || { echo "run.sh: build bin/portcullis first" >&2; exit 1; }
    mkdir -p "$PORTCULLIS_CACHE"
    build=(go test -c -tags integration -o "$PORTCULLIS_CACHE/integration.test" ./integration)
    [ "${1:-}" != demo ] || build=(go build -o "$PORTCULLIS_CACHE/demo" ./integration/demo)
    (cd "$root" && CGO_ENABLED=0 "${build[@]}")
    PORTCULLIS_ENGINE=1 exec "$here/dockerd.sh" "${BASH_SOURCE[0]}" "$@"
fi

folder=/src/integration program=integration.test
case ${1:-} in
demo) folder=/src program=demo; shift ;;
pages)
    shift
    set -- -test.run '^TestPages' -test.parallel 4 "$@"
    export WITH=git,nginx
    left= # pages that want what the release has not
    case ${RELEASE:-} in
    bullseye) left='tutorial-fleet.md howto/fleet.md howto/certificates.md howto/proxy.md' ;; # relays of ovsdb-server; caddy
    jammy) left='howto/proxy.md howto/router.md' ;;                                            # caddy; its dhclient wants systemd's bus
    sid) left=howto/router.md ;;                                                              # dhclient
    esac
    case ${RELEASE:-} in bullseye | jammy) ;; *) WITH+=,caddy ;; esac
    for page in $left; do
        echo "run.sh: NOT TESTED on $RELEASE: $page" >&2
        skipped=${skipped:+$skipped|}TestPages/$page
    done
    set -- "$@" ${skipped:+-test.skip "$skipped"}
    ;;
'')
    set -- -test.skip 'Chaos|ThousandChanges|PolicyFolder|FilesAreRead|Limits_|Counters|HarnessSeesSilence|Browser_|Fleet_|Serve_|^TestPages$' -test.parallel 4
    ;;
esac

image=$("$here/image.sh")
reports=${PORTCULLIS_REPORTS:-$PORTCULLIS_CACHE/reports}
mkdir -p "$reports"
name=portcullis-integration-$$
trap 'docker rm -f "$name" >/dev/null 2>&1 || true' EXIT
# The capabilities are those that network namespaces, raw sockets and ovs-vswitchd need; --privileged is not asked for. The system paths are
# open so that the hosts of the tests can be routers: a router forwards by /proc/sys.
docker run --name "$name" --rm --init --network none \
    --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_ADMIN --cap-add SYS_NICE --cap-add IPC_LOCK \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined --device /dev/net/tun --tmpfs /tmp:exec \
    -v "$root/bin:/src/bin:ro" -v "$root/docs:/src/docs:ro" -v "$PORTCULLIS_CACHE/$program:/src/$program:ro" \
    -v "$reports:/reports" -w "$folder" \
    -e CI="${CI:-}" -e PORTCULLIS_REQUIRE_OVS=1 -e PORTCULLIS_REPORTS=/reports \
    "$image" "/src/$program" "$@"
