//go:build integration

package births

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// libvirtHost has libvirtd run in the lab, where there is neither systemd nor KVM, with the hook as
// the package has it. Everything else of libvirt is as Debian has it.
const libvirtHost = `
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
printf 'auth_unix_rw = "none"\nunix_sock_group = "root"\n' >/etc/libvirt/libvirtd.conf
install -m 755 "$ROOT/cmd/portcullis/package/hooks/libvirt" /etc/libvirt/hooks/qemu.d/portcullis
export LIBVIRT_DEFAULT_URI=qemu:///system
libvirtd >libvirtd.log 2>&1 &
await virsh list
guest() { # NAME MAC-BYTE ADDRESS-BYTE GROUPS
    sed "s/NAME/$1/g; s/MAC/$2/; s/BYTE/$3/g; s/GROUPS/$4/" domain.xml >"$1.xml" && virsh -q define "$1.xml"
}
booted() { # BYTE: a guest without KVM takes its time
    for n in 1 2 3 4; do await up "$1" 2>/dev/null && return; done
    tail -n 20 *.serial
    return 1
}
up() { try outside "203.0.113.$1" 80 | grep -q 'outside reaches'; }
`

const domainXML = `<domain type='qemu'>
  <name>NAME</name>
  <metadata>
    <p:instance xmlns:p='urn:portcullis:1' groups='GROUPS' addresses='203.0.113.BYTE'/>
  </metadata>
  <memory unit='MiB'>96</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/run/lab/guest/kernel</kernel>
    <initrd>/run/lab/guest/initramfs</initrd>
    <cmdline>console=ttyS0 quiet panic=1 mitigations=off net=BYTE</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:MAC'/>
      <source bridge='br-int'/>
      <virtualport type='openvswitch'/>
      <target dev='tap-NAME'/>
      <model type='virtio'/>
      <driver name='qemu'><host csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off'/></driver>
    </interface>
    <serial type='pty'><log file='/run/lab/home/NAME.serial' append='on'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
`

// applied says how long after the device of a port was there the port was in force: milliseconds.
const applied = `
import json, os, subprocess, sys, time
device, end, seen = sys.argv[1], time.monotonic() + 120, None
while time.monotonic() < end:
    if seen is None and os.path.exists(f"/sys/class/net/{device}"):
        seen = time.monotonic()
    if seen is None:
        time.sleep(0.01)
        continue
    status = subprocess.run(["portcullis", "status", "-o", "json"], capture_output=True).stdout
    if any(p["name"] == device and p["state"] == "applied" for p in json.loads(status)["ports"]):
        print(int((time.monotonic() - seen) * 1000))
        break
`

// onlyBirths skips a test of guests without KVM, which boot slowly, but by make test-births.
func onlyBirths(t *testing.T) {
	t.Helper()
	if os.Getenv("BIRTHS_ROUNDS") == "" {
		t.Skip("guests without KVM boot slowly: make test-births runs it")
	}
}

func openLibvirt(t *testing.T, settings string) *lab {
	t.Helper()
	l := openLab(t, "libvirtd", "virsh", "qemu-system-x86_64", "busybox", "dpkg-deb")
	files := guestFiles(t)
	l.run(fmt.Sprintf("mkdir /run/lab/guest && cp -L %s/* /run/lab/guest", files))
	l.write("/run/lab/home/domain.xml", domainXML)
	l.write("/run/lab/home/applied.py", applied)
	l.start(settings, tierGroups)
	l.run(libvirtHost)
	return l
}

// begin starts a guest, and returns how long its port took once there was a device, in milliseconds.
func (l *lab) begin(name string) int {
	l.t.Helper()
	took := l.run(fmt.Sprintf(`python3 applied.py tap-%s >took & watcher=$!
virsh -q start %[1]s && wait $watcher && cat took`, name))
	n, err := strconv.Atoi(strings.TrimSpace(took))
	require.NoError(l.t, err, took)
	l.t.Logf("%s is in force %d ms after its device is there", name, n)
	return n
}

// Guests that libvirt starts and the hook puts into the policy, with two lines of metadata: reached
// as the groups say and not otherwise, forged, reset, with a second card, cloned, destroyed.
func TestLibvirt(t *testing.T) {
	onlyBirths(t)
	l := openLibvirt(t, lxcSettings)
	l.run("guest web-1 11 11 web")
	require.Less(t, l.begin("web-1"), 1000, "ms until its port is in force")
	require.Contains(t, l.run("cat /etc/portcullis/policy/web-1.yaml"), "groups: [web]")
	l.run("booted 11")
	l.reaches("outside", "203.0.113.11", 22, false)
	t.Run("forged", func(t *testing.T) {
		l.run("ip netns exec outside busybox wget -q -O - http://203.0.113.11/cgi-bin/forge")
		l.run("down() { ! up 11; }; await down; booted 11")
	})
	t.Run("a card that is plugged in", func(t *testing.T) {
		l.run("portcullis instance add web-1b --group web " +
			"--port name=tap-web-1b,mac=52:54:00:00:00:13,address=203.0.113.13 --wait")
		l.run(`sed -n '/<interface/,/<\/interface/p' web-1.xml | sed 's/:11/:13/; s/tap-web-1/tap-web-1b/' >card.xml
virsh -q attach-device web-1 card.xml --live`)
		l.awaits("tap-web-1b", "applied")
		l.run("virsh -q detach-device web-1 card.xml --live")
		l.awaits("tap-web-1b", "absent")
	})
	t.Run("a clone with the MAC of the first", func(t *testing.T) {
		l.run("guest clone 11 14 web")
		require.Contains(t, l.refused("virsh -q start clone"), "52:54:00:00:00:11 is the MAC of the port")
		l.refused("ls /etc/portcullis/policy/clone.yaml || ip link show tap-clone")
	})
	t.Run("a group that there is not", func(t *testing.T) {
		l.run("guest typo 15 15 wbe")
		require.Contains(t, l.refused("virsh -q start typo"), `there is no group "wbe"`)
	})
	t.Run("reset", func(t *testing.T) {
		l.run("virsh -q reset web-1 && down() { ! up 11; }; await down; booted 11")
		l.reaches("outside", "203.0.113.11", 22, false)
	})
	t.Run("destroyed", func(t *testing.T) {
		l.run("virsh -q destroy web-1 && ! test -e /etc/portcullis/policy/web-1.yaml")
		l.run("await portcullis status --wait")
		require.NotContains(t, l.run("portcullis status"), "tap-web-1 ")
		l.reaches("outside", "203.0.113.11", 80, false)
	})
}

// The same with a policy database, and a start without a daemon: mute until it is back.
func TestLibvirt_Database(t *testing.T) {
	onlyBirths(t)
	l := openLab(t, "libvirtd", "virsh", "qemu-system-x86_64", "busybox", "dpkg-deb")
	files := guestFiles(t)
	l.run(fmt.Sprintf("mkdir /run/lab/guest && cp -L %s/* /run/lab/guest", files))
	l.write("/run/lab/home/domain.xml", domainXML)
	l.write("/run/lab/home/applied.py", applied)
	l.write("/run/lab/home/groups.yaml", tierGroups)
	l.run(`portcullis db init --dir /var/lib/portcullis/db
portcullis db run --dir /var/lib/portcullis/db >db.log 2>&1 &
export PORTCULLIS_DB=unix:/var/lib/portcullis/db/db.sock
await portcullis db status && portcullis apply groups.yaml --yes
unset PORTCULLIS_DB`)
	l.start("host: hv1\n"+strings.Replace(lxcSettings, "policy: policy",
		"policy: ovsdb:unix:/var/lib/portcullis/db/db.sock", 1), tierGroups)
	l.run(libvirtHost)
	l.run("guest web-1 11 11 web")
	require.Less(t, l.begin("web-1"), 1000, "ms until its port is in force")
	require.Regexp(t, `web-1 +hv1 +web`, l.run("portcullis instance list"))
	l.run("booted 11")
	l.reaches("outside", "203.0.113.11", 22, false)
	l.run("virsh -q destroy web-1")
	require.NotContains(t, l.run("portcullis instance list"), "web-1")

	l.run("kill $(pgrep -f 'portcullis run') && virsh -q start web-1")
	l.run("await ovs-vsctl get Interface tap-web-1 ofport; sleep 20") // it has booted by then
	l.refused("up 11")
	l.run("portcullis run >>portcullis.log 2>&1 & await portcullis status --wait; booted 11")
}
