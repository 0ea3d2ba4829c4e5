//go:build integration

package births

// A guest without an image: Debian's kernel, and an initramfs of busybox and the kernel's modules
// for virtio, which is written here.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guestInit is the first process of a guest. The kernel's command line says its address: net=BYTE.
// It listens on ports 80, 22 and 23 of TCP, gives back what it gets on port 7, says on its serial
// line that it is ready, and has a shell there.
const guestInit = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /www
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin PS1=
for one in $(cat /mod/order); do insmod /mod/$one.ko; done
byte=$(sed 's/.*net=\([0-9]*\).*/\1/' /proc/cmdline)
ip link set lo up
ip link set eth0 up
ip address add 203.0.113.$byte/24 dev eth0
ip route add default via 203.0.113.1
httpd -p 80 -h /www
httpd -p 22 -h /www
httpd -p 23 -h /www
nc -ll -p 7 -e cat &
stty -F /dev/ttyS0 -echo
echo the guest is ready >/dev/ttyS0
while true; do sh </dev/ttyS0 >/dev/ttyS0 2>&1; done
`

// modules are those that a card of virtio needs, in the order in which they are to be loaded.
var modules = strings.Fields("virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev " +
	"virtio_pci failover net_failover virtio_net")

// guestFiles returns a folder with the files kernel and initramfs. What is fetched is kept in
// PORTCULLIS_CACHE, as for the container's image.
func guestFiles(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("PORTCULLIS_CACHE")
	if cache == "" {
		cache = "../../.cache"
	}
	cache, err := filepath.Abs(filepath.Join(cache, "births"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(cache, 0o755))
	depends, err := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
	require.NoError(t, err)
	_, name, isThere := strings.Cut(string(depends), "Depends: ")
	require.True(t, isThere, "%s", depends)
	name, _, _ = strings.Cut(name, "\n")
	unpacked := filepath.Join(cache, name)
	if _, err := os.Stat(unpacked); err != nil {
		part, err := os.MkdirTemp(cache, "part")
		require.NoError(t, err)
		defer os.RemoveAll(part)
		fetch := exec.Command("sh", "-euc", `apt-get download -q "$1" >&2
dpkg-deb --fsys-tarfile *.deb | tar x --wildcards './boot/vmlinuz*' './lib/modules/*.ko'; rm *.deb`,
			"sh", name)
		fetch.Dir = part
		out, err := fetch.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoError(t, os.Chmod(part, 0o755))
		if err := os.Rename(part, unpacked); err != nil {
			require.ErrorContains(t, err, "file exists", "another run was quicker")
		}
	}
	return assemble(t, unpacked)
}

// assemble makes the two files of an unpacked package.
func assemble(t *testing.T, unpacked string) string {
	kernels, err := filepath.Glob(filepath.Join(unpacked, "boot/vmlinuz*"))
	require.NoError(t, err)
	require.Len(t, kernels, 1)
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err)
	program, err := os.ReadFile(busybox)
	require.NoError(t, err)
	var image cpio
	for _, folder := range []string{"bin", "mod", "dev"} {
		image.add(folder, 0o040755, nil)
	}
	image.add("init", 0o100755, []byte(guestInit))
	image.add("bin/busybox", 0o100755, program)
	image.add("mod/order", 0o100644, []byte(strings.Join(modules, "\n")))
	for _, module := range modules {
		found, err := exec.Command("find", unpacked, "-name", module+".ko").Output()
		require.NoError(t, err)
		text, err := os.ReadFile(strings.TrimSpace(string(found)))
		require.NoError(t, err)
		image.add("mod/"+module+".ko", 0o100644, text)
	}
	image.add("TRAILER!!!", 0, nil)
	out := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(out), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(out, "initramfs"), image.Bytes(), 0o644))
	require.NoError(t, os.Symlink(kernels[0], filepath.Join(out, "kernel")))
	return out
}

// cpio is an archive in the kernel's format "newc" (Documentation/driver-api/early-userspace).
type cpio struct {
	bytes.Buffer
	number int
}

func (c *cpio) add(name string, mode int, text []byte) {
	c.number++
	fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", c.number, mode, 0, 0,
		1, 0, len(text), 0, 0, 0, 0, len(name)+1, 0)
	c.WriteString(name + "\x00")
	c.pad()
	c.Write(text)
	c.pad()
}

func (c *cpio) pad() { c.Write(make([]byte, -c.Len()&3)) }
