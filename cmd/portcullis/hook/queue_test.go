package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/portcullis/portcullis/integration/testnet"
)

const statusFile = `<domstatus state='%s' reason='migration'><domain type='qemu'><devices>
<interface type='bridge'><virtualport type='openvswitch'/><target dev='vnet7'/></interface>
<interface type='network'><target dev='vnet8'/></interface>
</devices></domain></domstatus>`

// The device of a machine that is awaited holds little until it runs here or does not come; a device
// of another bridge is left alone.
func TestAnAwaitedMachinesDeviceHoldsLittle(t *testing.T) {
	for _, end := range []string{"running", ""} {
		ns, err := testnet.NewNamespace()
		require.NoError(t, err)
		t.Cleanup(ns.Close)
		for _, name := range []string{"vnet7", "vnet8"} {
			require.NoError(t, ns.Do(func() error {
				return netlink.LinkAdd(&netlink.Tuntap{Mode: netlink.TUNTAP_MODE_TAP,
					LinkAttrs: netlink.LinkAttrs{Name: name}})
			}))
		}
		length := func(name string) int {
			link, err := ns.Links.LinkByName(name)
			require.NoError(t, err)
			return link.Attrs().TxQLen
		}
		before := length("vnet7")
		require.Greater(t, before, awaitedFrames)
		file := filepath.Join(t.TempDir(), "web-1.xml")
		write := func(state string) {
			text := fmt.Sprintf(statusFile, state)
			require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
			require.NoError(t, os.Rename(file+".new", file))
		}
		write("paused")
		comes := make(chan bool)
		go func() {
			_ = ns.Do(func() error {
				comes <- awaitArrival(file, patience{comes: time.Hour, runs: time.Hour,
					pause: time.Millisecond})
				return nil
			})
		}()
		require.Eventually(t, func() bool { return length("vnet7") == awaitedFrames }, time.Minute,
			time.Millisecond)
		require.Equal(t, before, length("vnet8"))
		if end == "" {
			require.NoError(t, os.Remove(file))
		} else {
			write(end)
		}
		require.Equal(t, end == "running", <-comes)
		require.Equal(t, before, length("vnet7"))
	}
}
