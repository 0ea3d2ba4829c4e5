package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/portcullis/portcullis/flows/policy"
)

// HostSpec says what a host is.
type HostSpec struct {
	Name string
	// the other end of its veth pair: the port's name on the bridge, of an instance
	Port      string
	MAC       policy.MAC
	Addresses []netip.Addr // one of each family is the host's first choice
}

// Host is a namespace with one interface, its addresses and its capture: an instance, or somebody
// beyond an uplink.
type Host struct {
	HostSpec
	Capture *Capture

	ns   *Namespace
	raw  *os.File // sends frames
	mu   sync.Mutex
	open map[string]interface{ Close() error } // servers and connections, ended by close
}

// newHost makes a host, with its veth pair's other end in the namespace at.
func newHost(at *Namespace, spec HostSpec) (*Host, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	h := &Host{HostSpec: spec, ns: n, open: map[string]interface{ Close() error }{}}
	if err := h.setUp(at); err != nil {
		h.close()
		return nil, fmt.Errorf("host %s: %w", spec.Name, err)
	}
	return h, nil
}

func (h *Host) setUp(at *Namespace) error {
	if err := plug(at, h.Port, h.ns, net.HardwareAddr(h.MAC[:])); err != nil {
		return err
	}
	link, err := h.ns.Links.LinkByName(deviceName)
	if err != nil {
		return fmt.Errorf("find %s: %w", deviceName, err)
	}
	index := link.Attrs().Index
	err = h.ns.Do(func() error {
		if h.Capture, err = newCapture(index); err != nil {
			return err
		}
		h.raw, err = packetSocket(index, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("open the packet sockets: %w", err)
	}
	return address(h.ns, append(h.linkLocal(), h.Addresses...))
}

// linkLocal is the link-local address of a host that has IPv6.
func (h *Host) linkLocal() []netip.Addr {
	for _, a := range h.Addresses {
		if a.Is6() {
			return []netip.Addr{h.MAC.LinkLocal()}
		}
	}
	return nil
}

// Address returns the host's first address of a family; the zero Addr if it has none.
func (h *Host) Address(f Family) netip.Addr {
	for _, a := range h.Addresses {
		if a.Is4() == (f == IPv4) {
			return a
		}
	}
	return netip.Addr{}
}

// Enter is the command that enters the host's network.
func (h *Host) Enter() string { return "nsenter --net=" + h.ns.Path() }

// Send puts a frame on the host's wire as it is.
func (h *Host) Send(f Frame) error {
	if _, err := h.raw.Write(f); err != nil {
		return fmt.Errorf("%s: send a frame: %w", h.Name, err)
	}
	return nil
}

// keep has close end something, under a name; it returns what was kept under this name before.
func (h *Host) keep(name string, c interface{ Close() error }) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[name] = c
}

func (h *Host) close() {
	h.mu.Lock()
	for _, c := range h.open {
		_ = c.Close()
	}
	h.open = map[string]interface{ Close() error }{}
	h.mu.Unlock()
	if h.Capture != nil {
		h.Capture.close()
	}
	if h.raw != nil {
		_ = h.raw.Close()
	}
	h.ns.Close()
}

// Family is one of the two versions of IP.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "IPv4" or "IPv6".
func (f Family) String() string { return fmt.Sprintf("IPv%d", int(f)) }
