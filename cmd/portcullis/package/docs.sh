#!/usr/bin/env bash
# Lays out the documentation as the package has it in /usr/share/doc/portcullis: the pages, examples, alerts and the dashboard, with links
# that lead to what is there. Manual pages are elsewhere in a package; measurements and how to contribute are with the source.
#
#   docs.sh FOLDER      must not exist
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
source=https://github.com/portcullis/portcullis/blob/main
mkdir "$1"
cp -r "$root"/docs/. "$1"
rm -r "$1/man" "$1/schema" "$1"/performance/*.json
cp "$root/CHANGELOG.md" "$root/SECURITY.md" "$1"
sed -i 's|](docs/|](|g' "$1/CHANGELOG.md" "$1/SECURITY.md"
sed -i -e 's|](\.\./\(CHANGELOG\|SECURITY\)\.md|](\1.md|g' -e "s|](\.\./\([A-Z]*\.md\)|]($source/\1|g" -e "s|](man/)|]($source/docs/man)|g" \
    -e "s|](schema/|](../../portcullis/schema/|g" -e "s|](performance/\([a-z-]*\.json\)|]($source/docs/performance/\1|g" "$1"/*.md
sed -i "s|](\.\./\.\./\([A-Z]*\.md\)|]($source/\1|g" "$1"/*/*.md
