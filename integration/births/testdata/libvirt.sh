# libvirtd in the lab, or on a host of it, where there is neither systemd nor KVM, with the hook as the
# package has it; everything else of libvirt is as Debian has it. Sourced by the tests of this package.

libvirt_start() {
    local one
    mount -t sysfs sysfs /sys
    for one in kvm libvirt-qemu; do groupadd --system --force $one; done
    useradd --system --gid kvm libvirt-qemu
    mkdir -p /var/lib/libvirt/qemu /etc/libvirt/hooks/qemu.d
    mount -t tmpfs log /var/log
    mount -t tmpfs cache /var/cache
    cat >/etc/libvirt/qemu.conf <<X
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
X
    cat >/etc/libvirt/libvirtd.conf <<X
auth_unix_rw = "none"
unix_sock_group = "root"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
X
    install -m 755 "$ROOT/cmd/portcullis/package/hooks/libvirt" /etc/libvirt/hooks/qemu.d/portcullis
    libvirtd --listen >libvirtd.log 2>&1 &
    await virsh list
}

# guest defines a machine: NAME MAC-BYTE ADDRESS-BYTE GROUPS.
guest() {
    sed "s/NAME/$1/g; s/MAC/$2/; s/BYTE/$3/g; s/GROUPS/$4/" \
        "$ROOT/integration/births/testdata/domain.xml" >"$1.xml" && virsh -q define "$1.xml"
}

# inside runs a command in a machine, by its serial line: NAME COMMAND.
inside() { python3 "$ROOT/integration/births/testdata/serial.py" "$@"; }

# boots is how often a machine has booted so far; booted waits for one more than that: NAME BOOTS.
boots() { grep -c 'the guest is ready' "$1.serial" 2>/dev/null || true; }
booted() {
    local n
    for n in {1..20}; do await more_boots "$1" "$2" 2>/dev/null && return; done
    tail -n 20 "$1.serial"
    return 1
}
more_boots() { [ "$(boots "$1")" -gt "$2" ]; }

# watch_frames writes what comes in at a device of a namespace to a file: NAMESPACE DEVICE FILE. The
# lab's own namespace is -.
watch_frames() {
    local within=(ip netns exec "$1")
    [ "$1" != - ] || within=()
    "${within[@]}" python3 "$ROOT/integration/births/testdata/frames.py" "$2" >"$3" 2>&1 &
    await grep -q listening "$3"
}

# record writes what happens to a port to a file: DEVICE PORT FILE.
record() {
    python3 "$ROOT/integration/births/testdata/record.py" "$1" "$2" >"$3" 2>&1 &
    await grep -q port "$3"
}

export LIBVIRT_DEFAULT_URI=qemu:///system
