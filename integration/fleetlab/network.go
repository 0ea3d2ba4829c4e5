package fleetlab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/integration/testnet"
)

// The management network: members, relay, hosts and the operator are on it, and it can be taken
// from each of them.

const (
	// device is every node's end of its wire to the management network.
	device = "mgmt0"
	// bridge is the kernel's switch in the middle.
	bridge = "mgmt"
	// bits are the length of the network's prefix.
	bits = 16
)

// network is the switch that all nodes are wired to.
type network struct {
	namespace *testnet.Namespace
	bridge    netlink.Link
	nodes     int // so far
}

func newNetwork() (*network, error) {
	n, err := testnet.NewNamespace()
	if err != nil {
		return nil, err
	}
	made := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}
	if err := n.Links.LinkAdd(made); err != nil {
		n.Close()
		return nil, fmt.Errorf("make the management network: %w", err)
	}
	if err := n.Links.LinkSetUp(made); err != nil {
		n.Close()
		return nil, fmt.Errorf("set the management network up: %w", err)
	}
	return &network{namespace: n, bridge: made}, nil
}

// Node is one machine of the fleet: a namespace, a folder, and an address in the management
// network.
type Node struct {
	Name      string
	Address   netip.Addr
	Dir       string // sockets, logs, files
	Namespace *testnet.Namespace

	network     *network
	wire        netlink.Link // its other end, at the switch
	environment []string     // of programs that run there
}

// newNode makes a node of the lab.
func (l *Lab) newNode(name string) (*Node, error) {
	l.network.nodes++
	serial := l.network.nodes
	n := &Node{Name: name, Dir: filepath.Join(l.Dir, name), network: l.network,
		Address: netip.AddrFrom4([4]byte{10, 66, byte(serial >> 8), byte(serial)})}
	if err := os.Mkdir(n.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", name, err)
	}
	var err error
	if n.Namespace, err = testnet.NewNamespace(); err != nil {
		return nil, err
	}
	l.nodes = append(l.nodes, n)
	port := fmt.Sprintf("n%d", serial)
	if err := n.Namespace.Wire(device, l.network.namespace, port); err != nil {
		return nil, fmt.Errorf("wire %s: %w", name, err)
	}
	if n.wire, err = l.network.namespace.Links.LinkByName(port); err != nil {
		return nil, fmt.Errorf("wire %s: %w", name, err)
	}
	if err := n.address(); err != nil {
		return nil, err
	}
	return n, n.Rejoin()
}

func (n *Node) address() error {
	own, err := n.Namespace.Links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s: find %s: %w", n.Name, device, err)
	}
	prefix := netip.PrefixFrom(n.Address, bits)
	ip, err := netlink.ParseIPNet(prefix.String())
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if err := n.Namespace.Links.AddrAdd(own, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("%s: add address %s: %w", n.Name, prefix, err)
	}
	return nil
}

// CutOff takes the management network from a node. Nothing tells it so: its device stays up, and
// what it says is heard by nobody.
func (n *Node) CutOff() error {
	if err := n.network.namespace.Links.LinkSetNoMaster(n.wire); err != nil {
		return fmt.Errorf("cut %s off: %w", n.Name, err)
	}
	return nil
}

// Rejoin gives it back.
func (n *Node) Rejoin() error {
	if err := n.network.namespace.Links.LinkSetMaster(n.wire, n.network.bridge); err != nil {
		return fmt.Errorf("wire %s: %w", n.Name, err)
	}
	return nil
}

// CutFrom has two nodes no longer hear each other; both still hear all others.
func (n *Node) CutFrom(other *Node) error {
	return n.both(other, "cut", func(at *Node, r *netlink.Route) error {
		return at.Namespace.Links.RouteReplace(r)
	})
}

// JoinWith ends CutFrom.
func (n *Node) JoinWith(other *Node) error {
	return n.both(other, "join", func(at *Node, r *netlink.Route) error {
		return at.Namespace.Links.RouteDel(r)
	})
}

// both does something about the route that swallows what one says to the other, at both of them.
func (n *Node) both(other *Node, what string, do func(at *Node, r *netlink.Route) error) error {
	for _, pair := range [][2]*Node{{n, other}, {other, n}} {
		ip, err := netlink.ParseIPNet(netip.PrefixFrom(pair[1].Address, 32).String())
		if err == nil {
			err = do(pair[0], &netlink.Route{Dst: ip, Type: unix.RTN_BLACKHOLE})
		}
		if err != nil {
			return fmt.Errorf("%s %s and %s: %w", what, n.Name, other.Name, err)
		}
	}
	return nil
}

func (n *Node) path(name string) string { return filepath.Join(n.Dir, name) }

// env has Open vSwitch's programs keep to the node's own folder.
func (n *Node) env() []string {
	return append(append(os.Environ(), "OVS_RUNDIR="+n.Dir, "OVS_DBDIR="+n.Dir, "OVS_LOGDIR="+n.Dir,
		"OVS_SYSCONFDIR="+n.Dir), n.environment...)
}

// Enter is the command that enters the node's network.
func (n *Node) Enter() string { return "nsenter --net=" + n.Namespace.Path() }
