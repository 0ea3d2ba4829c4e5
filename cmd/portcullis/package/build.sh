#!/usr/bin/env bash
# Builds a Debian package, the same bytes from the same commit: bin/portcullis_VERSION_ARCH.deb.
#
#   build.sh [VERSION]      a release such as 1.2.3 (default: of this commit, older than every release: 0~DATE.COMMIT)
#
# nfpm packs; its version is pinned, with the hashes of all that it is made of, by nfpm.mod and nfpm.sum.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
go=${GO:-go}
commit=$(git -C "$root" rev-parse --short=12 HEAD)
MTIME=$(TZ=UTC git -C "$root" log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
release=${1:-"0~$(date -u -d "$MTIME" +%Y%m%d%H%M%S).$commit"}
PACKAGE_VERSION=${release#v}
[[ $PACKAGE_VERSION =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || { echo "build.sh: $release is no version of a package: want 1.2.3" >&2; exit 2; }
ARCH=$("$go" env GOARCH)
MAINTAINER='Portcullis maintainers <maintainers@portcullis.invalid>'
STAGE=$(mktemp -d /tmp/portcullis-package.XXXXXX)
trap 'rm -rf "$STAGE"' EXIT
SOURCE_DATE_EPOCH=$(date -d "$MTIME" +%s)
export SOURCE_DATE_EPOCH
umask 022

# One program without libc, so that it runs on every release of Debian; without the symbols, which a stack trace does not need.
(cd "$root" && CGO_ENABLED=0 "$go" build -trimpath -ldflags "-s -w -X main.release=$release" -o "$STAGE/portcullis" ./cmd/portcullis)
for shell in bash zsh fish; do "$STAGE/portcullis" completion "$shell" >"$STAGE/$shell"; done
for section in 5 8; do
    mkdir "$STAGE/man$section"
    for page in "$root"/docs/man/*."$section"; do gzip -9nc "$page" >"$STAGE/man$section/${page##*/}.gz"; done
done

mkdir "$STAGE/doc" "$STAGE/examples"
cp "$root"/docs/examples/*.yaml "$STAGE/examples"
cp "$root/CHANGELOG.md" "$STAGE/doc"
printf 'portcullis (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in this folder.\n\n -- %s  %s\n' \
    "$PACKAGE_VERSION" "$MAINTAINER" "$(date -u -d "$MTIME" -R)" | gzip -9n >"$STAGE/doc/changelog.gz"
"$here/copyright.sh" "$STAGE/portcullis" >"$STAGE/doc/copyright"
cp "$here/lintian-overrides" "$STAGE/overrides"
# The unit of a second bridge is the same, with the settings of that bridge.
sed -e 's|^Description=.*|& (bridge %i)|' -e 's|^ExecStart=.*|& --config /etc/portcullis/%i.yaml|' \
    -e 's|^ExecReload=.*|& --config /etc/portcullis/%i.yaml|' "$here/portcullis.service" >"$STAGE/template"
find "$STAGE" -exec touch -d "$MTIME" {} +


mkdir -p "$root/bin"
package=$root/bin/portcullis_${PACKAGE_VERSION}_$ARCH.deb
config=$(<"$here/nfpm.yaml")
for name in PACKAGE_VERSION ARCH MAINTAINER STAGE; do config=${config//"\${$name}"/${!name}}; done
(cd "$here" && "$go" tool -modfile=nfpm.mod nfpm package --config <(echo "$config") --packager deb --target "$package" >"$STAGE/log" 2>&1) || {
    cat "$STAGE/log" >&2
    exit 1
}
echo "${package#"$root"/}"
