//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/portcullis/portcullis/integration/testnet"
)

// hostGateway is a gateway of the settings in the tests of guards.
const hostGateway, hostGateway6 = "203.0.113.1", "2001:db8::1"

// nic is a device of the host that the policy has as an instance's port, and what the host does
// with it.
type nic struct {
	name  string
	use   func(t *testing.T, links *netlink.Handle, name string)
	extra string // keys of the port
	told  string // why it is refused; "" = it is taken
}

var nics = []nic{
	{"nic4", addressed("192.0.2.5/24"), "", "it has the address 192.0.2.5/24"},
	{"nic6", addressed("2001:db8:99::5/64"), "", "it has the address 2001:db8:99::5/64"},
	{"nicroute4", routed("198.51.100.0/24"), "", "it has the route to 198.51.100.0/24"},
	{"nicroute6", routed("2001:db8:98::/64"), "", "it has the route to 2001:db8:98::/64"},
	{"nicbridge", bridged("hostbr0", "192.0.2.69/30"), "",
		`"hostbr0", which is made of it, has the address 192.0.2.69/30`},
	{"nicbare", nil, "", ""},
	{"niclinklocal", addressed("fe80::77/64", "169.254.7.7/16"), "", ""},
	{"nicpeer", peered("192.0.2.73/30"), "", ""},
	{"nicmeant", addressed("192.0.2.77/30"), ", host_device: true", ""},
}

func device(t *testing.T, links *netlink.Handle, name string) netlink.Link {
	t.Helper()
	l, err := links.LinkByName(name)
	require.NoError(t, err)
	return l
}

func network(t *testing.T, text string) *net.IPNet {
	t.Helper()
	ip, n, err := net.ParseCIDR(text)
	require.NoError(t, err)
	return &net.IPNet{IP: ip, Mask: n.Mask}
}

func addressed(addresses ...string) func(*testing.T, *netlink.Handle, string) {
	return func(t *testing.T, links *netlink.Handle, name string) {
		for _, a := range addresses {
			require.NoError(t, links.AddrAdd(device(t, links, name), &netlink.Addr{IPNet: network(t, a)}))
		}
	}
}

func routed(to string) func(*testing.T, *netlink.Handle, string) {
	return func(t *testing.T, links *netlink.Handle, name string) {
		require.NoError(t, links.RouteAdd(&netlink.Route{LinkIndex: device(t, links, name).Attrs().Index,
			Dst: network(t, to), Scope: netlink.SCOPE_LINK}))
	}
}

// peered gives the other end of the pair an address, in the same namespace: that end is a host's
// that is attached to the bridge.
func peered(address string) func(*testing.T, *netlink.Handle, string) {
	return func(t *testing.T, links *netlink.Handle,
		name string) {
		addressed(address)(t, links, name+"-p")
	}
}

// bridged makes the device a port of a bridge of the host, which has an address.
func bridged(bridge, address string) func(*testing.T, *netlink.Handle, string) {
	return func(t *testing.T, links *netlink.Handle, name string) {
		require.NoError(t, links.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}))
		require.NoError(t, links.LinkSetMaster(device(t, links, name), device(t, links, bridge)))
		addressed(address)(t, links, bridge)
	}
}

// plug makes a veth pair of the host, both ends up.
func (n nic) plug(t *testing.T, links *netlink.Handle) {
	t.Helper()
	require.NoError(t, links.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: n.name},
		PeerName: n.name + "-p"}))
	for _, end := range []string{n.name, n.name + "-p"} {
		require.NoError(t, links.LinkSetUp(device(t, links, end)))
	}
	if n.use != nil {
		n.use(t, links, n.name)
	}
}

// entry is an instance with one port, as a line of a policy.
func entry(name string, number int, addresses, extra string) string {
	return fmt.Sprintf("  - {name: of-%s, host: hv1, ports: [{name: %s, mac: \"02:00:00:00:01:%02x\", addresses: [%s]%s}]}\n", name, name, number, addresses, extra)
}

// refusals are ports that the settings alone refuse, with the words for it, and their honest twins,
// with none.
var refusals = []struct{ name, addresses, extra, told string }{
	{testnet.Bridge, "203.0.113.101", "", "is the bridge itself"},
	{testnet.Uplink, "203.0.113.102", "", "is an uplink in the settings"},
	{"gwown", hostGateway, "", "may use " + hostGateway},
	{"gwwide", `"2001:db8::/125"`, "", "may use 2001:db8::/125"},
	{"gwallowed", "203.0.113.103", `, allowed_addresses: ["203.0.113.0/30"]`,
		"may use 203.0.113.0/30"},
	{"gwother", "203.0.113.104",
		`, allowed_addresses: [{address: "2001:db8::1", mac: 00:00:5e:00:01:05}]`, "may use 2001:db8::1"},
	{"gwtrusted", `"2001:db8:0:2::1"`,
		`, allowed_addresses: ["203.0.113.0/24", "2001:db8::/64"], trusted: true`, ""},
	{"gwbeside", "203.0.113.105", `, allowed_addresses: ["203.0.113.2/31", "2001:db8::2"]`, ""},
}

// What would cut the host off, or speak for a gateway, is named by check, plan and the daemon in
// the same words. The daemon takes no such port, nor anything of it, and all else is in force, also
// what is taken away.
func TestGuardsOfThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: pairPolicy(), Outside: outside(), Daemon: daemon(t),
		Gateways: []netip.Addr{netip.MustParseAddr(hostGateway), netip.MustParseAddr(hostGateway6)}})
	links := w.Switch.Namespace.Links
	text, told := "", map[string]string{}
	for n, c := range nics {
		c.plug(t, links)
		text += entry(c.name, n, fmt.Sprintf("203.0.113.%d", 110+n), c.extra)
		told[c.name] = c.told
	}
	for n, c := range refusals {
		if c.told == "" {
			nic{name: c.name}.plug(t, links)
		}
		text += entry(c.name, 0x40+n, c.addresses, c.extra)
		told[c.name] = c.told
	}
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	flows(t, streams)
	// takes 5006 to 5010 away
	policy := strings.Replace(pairPolicy()+text, "ports: 5000-5010", "ports: 5000-5005", 2)
	require.NoError(t, w.SetPolicy(policy))
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "a", testnet.UDP(5005), f))
		admits(t, w, "client", "a", testnet.UDP(5006), f, false)
	}
	guardsAreTold(t, w, policy, told)
	complete(t, streams)

	t.Run("the host gives a device up", func(t *testing.T) {
		require.NoError(t, links.AddrDel(device(t, links, "nic4"),
			&netlink.Addr{IPNet: network(t, "192.0.2.5/24")}))
		_, err := w.AwaitStatus(func(s testnet.Status) bool { return s.Port("nic4").State == "applied" })
		require.NoError(t, err)
	})
	t.Run("a device that is an instance's gets an address of the host", func(t *testing.T) {
		addressed("192.0.2.81/30")(t, links, "nicbare")
		require.NoError(t, w.SetPolicy(strings.Replace(policy, "ports: 5000-5005", "ports: 5000-5004",
			2)))
		s, err := w.AwaitStatus(
			func(s testnet.Status) bool {
				return strings.Contains(strings.Join(s.Warnings, "\n"),
					`"nicbare"`)
			})
		require.NoError(t, err)
		require.Equal(t, "applied", s.Port("nicbare").State, "no instance is cut off for it")
		out, err := w.Judge("check")
		require.Error(t, err)
		require.Contains(t, out,
			`the port "nicbare" is a device of the host itself: it has the address 192.0.2.81/30`)
	})
}

// guardsAreTold holds check, the status, the plan and the bridge's ports against what is to be
// refused.
func guardsAreTold(t *testing.T, w *testnet.World, policy string, told map[string]string) {
	t.Helper()
	checked, err := w.Judge("check")
	require.Error(t, err)
	require.Contains(t, err.Error(), "exit status 1")
	planned, err := w.Judge("plan")
	require.ErrorContains(t, err, "exit status 3")
	s, err := w.Status()
	require.NoError(t, err)
	ports, err := w.Switch.Run("ovs-vsctl", "list-ports", testnet.Bridge)
	require.NoError(t, err)
	plugged := strings.Fields(ports)
	refused := 0
	for name, words := range told {
		got := status(s, name)
		if words == "" {
			require.Equal(t, "applied", got.State, "%s: %s", name, got.Reason)
			require.NotContains(t, checked, `"`+name+`"`)
			continue
		}
		refused++
		line := 1 + strings.Count(policy[:strings.Index(policy, "of-"+name+",")], "\n")
		require.Equal(t, "error", got.State, name)
		require.Contains(t, got.Reason, fmt.Sprintf("policy.yaml:%d:", line))
		require.Contains(t, got.Reason, words)
		require.Contains(t, checked, got.Reason, "check and daemon judge alike")
		require.Contains(t, planned, got.Reason, "and plan")
		if name != testnet.Uplink {
			require.NotContains(t, plugged, name)
		}
	}
	require.Equal(t, refused, strings.Count("\n"+checked, "\n"+w.Dir),
		"the policy has no other mistake: %s", checked)
	require.Contains(t, plugged, testnet.Uplink)
}

// status returns that of an instance's port, not of an uplink of the same name.
func status(s testnet.Status, port string) testnet.PortStatus {
	for _, p := range s.Ports {
		if p.Name == port {
			return p
		}
	}
	return testnet.PortStatus{}
}
