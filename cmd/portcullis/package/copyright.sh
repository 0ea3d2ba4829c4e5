#!/usr/bin/env bash
# Prints the package's copyright file: the licences of every module that a program of Go was linked from, and of what its console is made of.
#
#   copyright.sh PROGRAM
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
go=${GO:-go}
echo 'Portcullis is copyright of its authors: https://github.com/portcullis/portcullis'
if [ -f ../../../LICENSE ]; then
    printf '\nLicence:\n\n'
    cat ../../../LICENSE
else
    printf '\nLicence: not yet chosen. Until there is one, all rights are reserved: ask the authors before you use it.\n'
fi
cat <<'END'

The program holds the standard library of Go (its licence comes first) and the following modules, and the packages of its console. The text of each licence is given.
END
cat "$("$go" env GOROOT)/LICENSE"
"$go" version -m "$1" | awk '$1 == "dep" {print $2, $3}' | while read -r module version; do
    folder=$("$go" mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    texts=$(find "$folder" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | LC_ALL=C sort)
    [ -n "$texts" ] || { echo "copyright.sh: $module $version has no licence" >&2; exit 1; }
    printf '\n%s\n%s %s\n\n' "$(printf '=%.0s' {1..79})" "$module" "$version"
    while read -r text; do
        # Debian has this one on every system.
        if grep -q 'Apache License' "$text" && grep -q 'TERMS AND CONDITIONS' "$text"; then
            echo 'Apache License, Version 2.0: /usr/share/common-licenses/Apache-2.0'
        else
            cat "$text"
        fi
    done <<<"$texts"
done

# The console's packages, whose code the program holds bundled.
web=../../../controller/console/web
node -p 'Object.entries(require(process.argv[1]).packages).filter(([n, p]) => n && !p.dev).map(([n, p]) => `${n} ${p.version}`).join("\n")' \
    "$(cd "$web" && pwd)/package-lock.json" | while read -r folder version; do
    text=$(find "$web/$folder" -maxdepth 1 -type f -iname 'licen[cs]e*' | LC_ALL=C sort | head -1)
    [ -n "$text" ] || { echo "copyright.sh: $folder $version has no licence" >&2; exit 1; }
    printf '\n%s\n%s %s (npm)\n\n' "$(printf '=%.0s' {1..79})" "${folder#node_modules/}" "$version"
    cat "$text"
done
