#!/usr/bin/env bash
# Builds a release twice, from two clones in folders of different names and lengths, at different times, with other clocks of files,
# another time zone, umask and language, and compares the bytes.
#
#   reproduce.sh [VERSION]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
version=${1:-0.0.0}
work=$(mktemp -d /tmp/portcullis-reproduce.XXXXXX)
trap 'rm -rf "$work"' EXIT
build() { # CLONE TIME-ZONE UMASK LANGUAGE
    (umask "$3" && git clone --quiet --no-local "$root" "$1" && find "$1" -path "$1/.git" -prune -o -exec touch -d "$5" {} + &&
        cd / && TZ=$2 LC_ALL=$4 "$1/cmd/portcullis/package/release.sh" "$version" "$1/out" >"$1.sums")
}
mkdir -p "$work/a/rather/long/name"
build "$work/one" UTC 022 C.UTF-8 2001-02-03
build "$work/a/rather/long/name/two" Pacific/Kiritimati 077 C '2031-10-11 12:13'
diff -r "$work/one/out" "$work/a/rather/long/name/two/out" || { echo "reproduce.sh: two builds of one commit differ" >&2; exit 1; }
cat "$work/one.sums"
echo "two builds, the same bytes"
