#!/usr/bin/env bash
# Makes what a virtual machine boots: Debian's own kernel, its modules, and a first file system with what mounts the rest.
#
#   image.sh            builds what the cache does not hold, prints the folder: vmlinuz, initrd, version, lib/modules
#
# RELEASE: the release of Debian whose kernel it is, "trixie" say; by default that of this machine.
# KERNEL: the kernel's package in it; by default the one that linux-image-amd64 names.
#
# The kernel is unpacked from its package, never installed. The folder is cached under PORTCULLIS_CACHE (default: .cache in the
# repository) by a hash of this script, of init and of both names; delete it to have a newer kernel.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTCULLIS_CACHE:-$here/../../.cache}
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
release=${RELEASE:-$own}

# What the first file system must load to mount this machine's files.
boot_modules=(virtio_pci 9pnet_virtio 9p overlay)
# Hardware that no virtual machine here has: most of the modules.
left_out=(sound drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet drivers/infiniband drivers/scsi drivers/usb
    drivers/staging drivers/iio drivers/hwmon drivers/input)

# Has apt see another release alone, in a state of its own in this folder: from the mirrors that this machine's own release is from.
other_release() {
    mkdir -p apt/lists/partial apt/archives/partial
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
        while read -r mirror suite component; do
            [[ $suite != "$own" && $suite != "$own-security" ]] ||
                echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${suite/#$own/$release} $component"
        done >apt/sources.list
    cat >apt.conf <<END
Dir::Etc::SourceList "$PWD/apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$PWD/apt/lists";
Dir::Cache "$PWD/apt";
APT::Sandbox::User "root";
END
    export APT_CONFIG=$PWD/apt.conf
}

# The package of the newest kernel, as linux-image-amd64 names it.
newest_kernel() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}'; }

download() {
    local package
    [ "$release" = "$own" ] || other_release
    [ -n "$(newest_kernel)" ] || apt-get update -q
    package=${KERNEL:-$(newest_kernel)}
    [ -n "$package" ] || { echo "image.sh: apt knows no linux-image-amd64 of $release" >&2; return 1; }
    apt-get download -q "$package" busybox-static || { apt-get update -q && apt-get download -q "$package" busybox-static; }
}

unpack() {
    local excludes=() folder
    for folder in "${left_out[@]}"; do excludes+=(--exclude="*/kernel/$folder"); done
    dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --wildcards "${excludes[@]}" './boot/vmlinuz-*' './*lib/modules/*'
    [ ! -d usr/lib ] || mv usr/lib lib # Debian 13 has them there
    mkdir -p first/bin
    dpkg-deb --fsys-tarfile busybox-static_*.deb | tar -xO --wildcards './*bin/busybox' >first/bin/busybox
    chmod +x first/bin/busybox
    rm -rf ./*.deb apt apt.conf usr
    ls lib/modules >version
    mv boot/vmlinuz-* vmlinuz
    depmod -b . "$(cat version)"
}

# The modules lie in the order in which they must be loaded: dependencies first.
first_file_system() {
    local number=100 module
    mkdir -p first/{dev,proc,sys,lower,upper,new,modules}
    for module in "${boot_modules[@]}"; do
        modprobe -C /dev/null -d . -S "$(cat version)" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | while read -r module; do
        case $module in
        *.xz) xz -dc "$module" ;;
        *) cat "$module" ;;
        esac >"first/modules/$((number++))-$(basename "$module" .xz)"
    done
    install -m 755 "$here/init" first/init
    (cd first && find . | ./bin/busybox cpio -o -H newc) >initrd
    rm -rf first boot
}

mkdir -p "$cache"
key=$( (echo "$release ${KERNEL:-}"; cat "${BASH_SOURCE[0]}" "$here/init") | sha256sum | cut -c1-16)
image=$(cd "$cache" && pwd)/kernel-$key

# Two runs at once would build the same folder twice.
exec 9>"$cache/kernel.lock"
flock 9
if [ ! -d "$image" ]; then
    part=$(mktemp -d "$cache/kernel-part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    chmod 755 "$part"
    (cd "$part" && download && unpack && first_file_system) >&2
    mv -T "$part" "$image"
    trap - EXIT
fi
echo "$image"
