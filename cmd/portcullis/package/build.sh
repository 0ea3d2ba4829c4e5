#!/usr/bin/env bash
# Builds a Debian package, the same bytes from the same commit and the same Go, wherever and whenever:
# bin/portcullis_VERSION_ARCH.deb. Its path is printed; what goes on is said on stderr.
#
#   build.sh [VERSION [ARCH [FOLDER]]]
#
#   VERSION   a release such as 1.2.3 (default: of this commit, older than every release: 0~DATE.COMMIT)
#   ARCH      amd64 or arm64 (default: of this machine)
#   FOLDER    where the package goes, with its program beside it (default: bin, without)
#
# nfpm packs; its version is pinned, with the hashes of all that it is made of, by nfpm.mod and nfpm.sum.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
go=${GO:-go}
say() { echo "package: $*" >&2; }

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
MTIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
release=${1:-"0~$(date -u -d "$MTIME" +%Y%m%d%H%M%S).$(git -C "$root" rev-parse --short=12 HEAD)"}
PACKAGE_VERSION=${release#v}
[[ $PACKAGE_VERSION =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || { echo "build.sh: $release is no version of a package: want 1.2.3" >&2; exit 2; }
native=$("$go" env GOARCH)
ARCH=${2:-$native}
[[ $ARCH =~ ^(amd64|arm64)$ ]] || { echo "build.sh: $ARCH: want amd64 or arm64" >&2; exit 2; }
folder=${3:-"$root/bin"}
MAINTAINER='Portcullis maintainers <maintainers@portcullis.invalid>'
STAGE=$(mktemp -d /tmp/portcullis-package.XXXXXX)
trap 'rm -rf "$STAGE"' EXIT
umask 022

# One program without libc, so that it runs on every release of Debian; without the symbols, which a stack trace does not need, and
# without what only a checkout knows.
compile() { # ARCH FILE
    (cd "$root" && CGO_ENABLED=0 GOOS=linux GOARCH=$1 "$go" build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=$release" \
        -o "$2" ./cmd/portcullis)
}
say "making the console"
"$root/controller/console/web/build.sh" --needed
say "compiling portcullis $release for $ARCH"
compile "$ARCH" "$STAGE/portcullis"
speaker=$STAGE/portcullis # runs here, and says its completions
[ "$ARCH" = "$native" ] || { speaker=$STAGE/native; compile "$native" "$speaker"; }

say "gathering documentation, completions and licences"
for shell in bash zsh fish; do "$speaker" completion "$shell" >"$STAGE/$shell"; done
for section in 5 8; do
    mkdir "$STAGE/man$section"
    for page in "$root"/docs/man/*."$section"; do gzip -9nc "$page" >"$STAGE/man$section/${page##*/}.gz"; done
done
"$here/docs.sh" "$STAGE/doc"
printf 'portcullis (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in this folder.\n\n -- %s  %s\n' \
    "$PACKAGE_VERSION" "$MAINTAINER" "$(date -u -d "$MTIME" -R)" | gzip -9n >"$STAGE/doc/changelog.gz"
"$here/copyright.sh" "$STAGE/portcullis" >"$STAGE/doc/copyright"
cp "$here"/{lintian-overrides,portcullis.service,portcullis-db.service,portcullis-serve.service,portcullis.yaml,policy.yaml,sysctl.conf,postinst,prerm,postrm} "$STAGE"
cp -r "$root/docs/schema" "$STAGE/schema"
cp -r "$here/hooks" "$STAGE/hooks"
# The unit of a second bridge is the same, with the settings of that bridge.
sed -e 's|^Description=.*|& (bridge %i)|' -e 's|^ExecStart=.*|& --config /etc/portcullis/%i.yaml|' \
    -e 's|^ExecReload=.*|& --config /etc/portcullis/%i.yaml|' "$here/portcullis.service" >"$STAGE/template"
# What a checkout has as modes and times depends on who made it.
find "$STAGE" -type d -exec chmod 755 {} + -o -type f -exec chmod u=rw,go=r {} +
find "$STAGE" -exec touch -d "$MTIME" {} +

say "packing with nfpm (the first time on a machine it is fetched and built, which takes some minutes)"
mkdir -p "$folder"
package=$folder/portcullis_${PACKAGE_VERSION}_$ARCH.deb
config=$(<"$here/nfpm.yaml")
for name in PACKAGE_VERSION ARCH MAINTAINER STAGE MTIME; do config=${config//"\${$name}"/${!name}}; done
(cd "$here" && "$go" tool -modfile=nfpm.mod nfpm package --config <(echo "$config") --packager deb --target "$package" >"$STAGE/log" 2>&1) || {
    cat "$STAGE/log" >&2
    exit 1
}
[ -z "${3:-}" ] || install -m 755 "$STAGE/portcullis" "$folder/portcullis_$ARCH"
echo "${package#"$root"/}"
