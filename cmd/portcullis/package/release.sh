#!/usr/bin/env bash
# Builds all of a release into a folder: the packages for amd64 and arm64, what they are made of (an SBOM of CycloneDX, of each program)
# and SHA256SUMS. The same commit and the same Go give the same bytes, wherever and whenever; reproduce.sh tries it.
#
#   release.sh VERSION [FOLDER]      FOLDER must not exist (default: bin/release-VERSION)
#
# cyclonedx-gomod writes the SBOM; its version is pinned, with the hashes of all that it is made of, by sbom.mod and sbom.sum.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
go=${GO:-go}
version=${1:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(~[a-z0-9]+)?$ ]] || { echo "release.sh: want a version such as 1.2.3: make release VERSION=1.2.3" >&2; exit 2; }
folder=${2:-"$root/bin/release-$version"}
[ ! -e "$folder" ] || { echo "release.sh: $folder is there already; remove it first" >&2; exit 2; }
changed=$(git -C "$root" status --porcelain)
[ -z "$changed" ] || { printf 'release.sh: a release is made of a commit; these files differ from it:\n%s\n' "$changed" >&2; exit 2; }

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
for arch in amd64 arm64; do
    "$here/build.sh" "$version" "$arch" "$folder" >/dev/null
    echo "release: writing what portcullis for $arch is made of (the first time cyclonedx-gomod is fetched and built)" >&2
    (cd "$here" && "$go" tool -modfile=sbom.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -version "v$version" \
        -output "$folder/portcullis_${version}_$arch.cdx.json" "$folder/portcullis_$arch" 2>&1 | grep -v ' INF ' >&2 || true)
    (cd "$root/controller/console" && "$go" run ./bundle -sbom web "$folder/portcullis_${version}_$arch.cdx.json")
    "$go" version -m "$folder/portcullis_$arch" | awk '$1 == "dep" {print $2 "@" $3}' | while read -r module; do
        grep -qF "\"purl\": \"pkg:golang/$module" "$folder/portcullis_${version}_$arch.cdx.json" ||
            { echo "release.sh: the SBOM of $arch lacks $module" >&2; exit 1; }
    done
    node -e 'const { packages } = require(process.argv[1]);
        for (const [at, p] of Object.entries(packages)) if (at && !p.dev)
            console.log(at.replace(/.*node_modules\//, "").replace("@", "%40") + "@" + p.version)' \
        "$root/controller/console/web/package-lock.json" | while read -r package; do
        grep -qF "\"purl\": \"pkg:npm/$package\"" "$folder/portcullis_${version}_$arch.cdx.json" ||
            { echo "release.sh: the SBOM of $arch lacks $package, which is in the console" >&2; exit 1; }
    done
    rm "$folder/portcullis_$arch"
done
(cd "$folder" && sha256sum -- *.deb *.json >SHA256SUMS && cat SHA256SUMS)
[ -f "$root/LICENSE" ] || echo "release: there is no LICENSE file yet; whoever is to use this needs one" >&2
