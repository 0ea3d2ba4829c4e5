#!/usr/bin/env bash
# Makes the image that the integration tests run in, from Debian packages alone: no image registry is asked.
#
#   image.sh    imports the root file system of rootfs.sh into the Docker engine, prints the image's name
#
# RELEASE, WITH, PORTCULLIS_CACHE: as of rootfs.sh. DOCKER_HOST says which engine (see dockerd.sh).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTCULLIS_CACHE:-$here/../../.cache}

tar=$("$here/rootfs.sh")
name=$(basename "$tar" .tar) # image-SUITE-KEY
image=portcullis-integration:${name#image-}

# Two runs at once would import the same image twice.
exec 9>"$cache/image.lock"
flock 9
docker image inspect "$image" >/dev/null 2>&1 || docker import "$tar" "$image" >/dev/null
echo "$image"
