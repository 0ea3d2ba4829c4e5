#!/usr/bin/env bash
# Makes the console of its sources: ../dist, which the program embeds. `make build` calls it, and the package's build.sh.
#
#   build.sh            without npm nothing is made: the program says so at / (exit code 0)
#   build.sh --needed   without npm it fails
#   build.sh --test     types are checked, and the tests run
#
# Packages come by exact versions, with the hashes of package-lock.json, and run nothing when they are installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
go=${GO:-go}
command -v npm >/dev/null && command -v node >/dev/null || {
    echo "console: npm is missing (apt-get install nodejs npm)" >&2
    [ "${1:-}" = "" ] || exit 1
    echo "console: the program is built without it" >&2
    find "$here/../dist" -mindepth 1 ! -name .gitkeep -delete
    exit 0
}

# What is installed is of this lock file, or is installed anew; two builds at once wait for each other.
exec 9<"${BASH_SOURCE[0]}"
flock 9
kept=$here/node_modules/.of-this-lock
cmp -s "$here/package-lock.json" "$kept" || {
    (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    cp "$here/package-lock.json" "$kept"
}

if [ "${1:-}" = --test ]; then
    (cd "$here" && node node_modules/typescript/bin/tsc --noEmit)
    tests=$(mktemp -d /tmp/portcullis-console.XXXXXX)
    trap 'rm -rf "$tests"' EXIT
    (cd "$here/.." && "$go" run ./bundle -tests web "$tests")
    mapfile -t files < <(find "$tests" -name '*.test.mjs' | sort)
    node --enable-source-maps --test "${files[@]}"
    exit
fi
(cd "$here/.." && "$go" run ./bundle web dist)
