#!/usr/bin/env bash
# Runs the integration tests on Open vSwitch's kernel datapath, under Debian's own kernel in a virtual machine: this machine's files
# are its files, or those of another release of Debian, but what it writes is lost with it. It has no network. bin/portcullis must exist.
#
#   run.sh [TEST FLAG...]        as of a compiled test binary: -test.run L2 -test.v
#
# With hardware support (KVM) it is as fast as this machine, else it is emulated. Where there is no way to have a virtual machine it
# says so and succeeds.
#
# PORTCULLIS_REPORTS: a folder that failed tests leave their reports in, and the kernel its log (default: .cache/reports).
# RELEASE: another release of Debian than this machine's, trixie say: its kernel with its Open vSwitch, from its packages.
# KERNEL: another kernel of that release (see image.sh).
# USERLAND: the release whose Open vSwitch and other programs run under that kernel (default: RELEASE); needs debootstrap when it is not
# this machine's.
# PORTCULLIS_TEST_DATAPATH=offload: with flows in tc (other_config:hw-offload), which is in software here.
# PORTCULLIS_KERNEL_LIMIT: how long the machine may take, as of timeout(1) (default: 50m); a busy host needs more.
# PORTCULLIS_KERNEL_MEMORY: how much it has, in MiB (default: 3072).
# PORTCULLIS_KERNEL_COMMAND: another command than the test binary, "bash -x some-script" say; the flags follow it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export PORTCULLIS_CACHE=${PORTCULLIS_CACHE:-$root/.cache}
reports=${PORTCULLIS_REPORTS:-$PORTCULLIS_CACHE/reports}
cpus=2 megabytes=${PORTCULLIS_KERNEL_MEMORY:-3072} limit=${PORTCULLIS_KERNEL_LIMIT:-50m}
# The tests of an emulated machine (TestKernelSelectionNamesTests holds each name to be one): every statement of the semantics, fragments, errors, restarts, and what differs between datapaths.
emulated='Harness|L2_|R[1-5]_|R6_Revocation|R6_AnInstanceGoes|R7_|Fragments_|Lengths_|R8_Closed|R8_Late|R8_Missing|R8_Restart|R8_SwitchRestart|Datapath|TwoBridges|ZoneOfADeletedInstance'

own=$(. /etc/os-release && echo "$VERSION_CODENAME")
userland=${USERLAND:-${RELEASE:-$own}}

skip() {
    echo "test-kernel: SKIPPED, NOT TESTED: $*"
    exit 0
}

# Installs the programs that are missing here. command:package
install_missing() {
    local pair missing=() as_root=()
    for pair in qemu-system-x86_64:qemu-system-x86 depmod:kmod xz:xz-utils debootstrap:debootstrap; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "test-kernel: installing ${missing[*]}"
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -q
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The folder with the files of another release, unpacked once from the same archive as the container's image.
other_files() {
    local tar folder
    tar=$(RELEASE=$userland "$here/../container/rootfs.sh") || return
    folder=${tar%.tar}
    exec 8>"$PORTCULLIS_CACHE/kernel.lock"
    flock 8
    if [ ! -d "$folder" ]; then
        rm -rf "$folder.part"
        mkdir "$folder.part"
        tar -C "$folder.part" -xf "$tar"
        mv -T "$folder.part" "$folder"
    fi
    exec 8>&-
    echo "$folder"
}

# What runs the processor. A /dev/kvm without vmx or svm is that of a nested machine, which runs only kernels made for it.
accelerator() {
    if grep -qwE 'vmx|svm' /proc/cpuinfo && (exec 8<>/dev/kvm) 2>/dev/null; then
        echo kvm
    else
        echo tcg
    fi
}

[ "$(uname -m)" = x86_64 ] || skip "this machine is no x86_64"
command -v apt-get >/dev/null || skip "no apt-get here to have the kernel from"
install_missing || skip "the packages above cannot be installed"
export PATH=$PATH:/usr/sbin:/sbin
image=$("$here/image.sh") || skip "Debian's kernel is not to be had"
files=/
[ "$userland" = "$own" ] || files=$(other_files) || skip "Debian's $userland is not to be had"
[ -x "$root/bin/portcullis" ] || { echo "run.sh: build bin/portcullis first" >&2; exit 1; }

shared=$(mktemp -d /tmp/portcullis-kernel.XXXXXX)
qemu=
finish() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    mkdir -p "$reports"
    cp "$shared"/reports/* "$reports" 2>/dev/null || true
    rm -rf "$shared"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$shared/reports"
# Both programs as they are now, whatever is built meanwhile.
cp "$root/bin/portcullis" "$shared"
(cd "$root" && CGO_ENABLED=0 go test -c -tags integration -o "$shared/integration.test" ./integration)

# Under emulation the plainest processor is the fastest, and its time stamps, which are this machine's, can be trusted. What it has no
# time for are two tests at once, and those that are about the daemon rather than about packets.
kind=$(accelerator)
case $kind in
kvm)
    processor=(-accel kvm -cpu host) clock= slowness=${PORTCULLIS_TEST_SLOWNESS:-2}
    ;;
tcg)
    processor=(-accel tcg,thread=multi -cpu qemu64) clock=tsc=reliable slowness=${PORTCULLIS_TEST_SLOWNESS:-6}
    set -- -test.parallel 1 -test.run "$emulated" "$@"
    ;;
esac

# Another release's files have neither this repository, nor the kernel's modules, nor the programs: all are where they are here.
shares=() mounts=
if [ "$files" != / ]; then
    for pair in "source:$root" "image:$image" "programs:$shared"; do
        shares+=(-virtfs "local,path=${pair#*:},mount_tag=${pair%%:*},security_model=none,readonly=on,multidevs=remap")
        mounts+=$(printf 'mkdir -p %q && mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=512000 %q %q' \
            "${pair#*:}" "${pair%%:*}" "${pair#*:}")$'\n'
    done
fi

read -ra command <<<"${PORTCULLIS_KERNEL_COMMAND:-$shared/integration.test}"
{
    printf 'export %q\n' "PATH=$PATH" HOME=/root LANG=C.UTF-8 PORTCULLIS_REQUIRE_OVS=1 PORTCULLIS_REPORTS=/run/shared/reports "PORTCULLIS_BIN=$shared/portcullis" \
        "PORTCULLIS_TEST_DATAPATH=${PORTCULLIS_TEST_DATAPATH:-kernel}" "PORTCULLIS_TEST_SLOWNESS=$slowness"
    printf %s "$mounts"
    printf 'cd %q\n' "$root/integration"
    printf 'exec'
    printf ' %q' "$here/guest.sh" "$image" "${command[@]}" "$@"
    echo
} >"$shared/guest"

echo "test-kernel: Linux $(cat "$image/version") ($kind, $cpus processors), Debian $userland's files"
timeout "$limit" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
    -M q35,usb=off,sata=off,hpet=off "${processor[@]}" -smp "$cpus" -m "$megabytes" \
    -kernel "$image/vmlinuz" -initrd "$image/initrd" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off nokaslr $clock" \
    -serial "file:$shared/reports/console.log" -chardev stdio,id=out,signal=off -device isa-serial,chardev=out \
    -virtfs "local,path=$files,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$shared,mount_tag=shared,security_model=none" "${shares[@]}" \
    -device virtio-rng-pci </dev/null &
qemu=$!
wait "$qemu" || true
qemu=
if [ ! -s "$shared/status" ]; then
    echo "run.sh: the virtual machine stopped before the tests ended (or after $limit); its kernel's last words:" >&2
    tail -n 30 "$shared/reports/console.log" >&2
    exit 1
fi
exit "$(cat "$shared/status")"
