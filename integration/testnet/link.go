package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// deviceName is the name of a host's only interface.
const deviceName = "eth0"

// genModeNone is IN6_ADDR_GEN_MODE_NONE: the kernel makes no link-local address by itself, so none
// is ever tentative.
const genModeNone = 1

// plug makes the veth pair of a host: port is its end in the switch's (or fabric's) namespace,
// deviceName its end in the host's.
func plug(at *Namespace, port string, host *Namespace, mac net.HardwareAddr) error {
	return pair(at, port, host, deviceName, mac)
}

// Wire lays a wire from a device here to one in another namespace.
func (n *Namespace) Wire(here string, far *Namespace, there string) error {
	return pair(n, here, far, there, nil)
}

// pair makes a veth pair of a port in one namespace and a device in another.
func pair(at *Namespace, port string, host *Namespace, device string, mac net.HardwareAddr) error {
	wire := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: port, MTU: 1500},
		PeerName:         device,
		PeerHardwareAddr: mac,
		PeerNamespace:    netlink.NsFd(int(host.file.Fd())),
	}
	if err := at.Links.LinkAdd(wire); err != nil {
		return fmt.Errorf("make the veth pair of %s: %w", port, err)
	}
	if err := prepare(at, port); err != nil {
		return err
	}
	return prepare(host, device)
}

// prepare switches off what would make frames differ from those on a wire, or come by themselves,
// and sets the link up. A frame without a checksum, which its receiver takes on trust over veth,
// would be one that Open vSwitch judges invalid.
func prepare(at *Namespace, link string) error {
	l, err := at.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	if err := at.Do(func() error { return checksumOff(link) }); err != nil {
		return fmt.Errorf("switch checksum offload of %s off: %w", link, err)
	}
	if err := at.Links.LinkSetIP6AddrGenMode(l, genModeNone); err != nil {
		return fmt.Errorf("stop automatic addresses of %s: %w", link, err)
	}
	return at.setUp(link)
}

// checksumOff is `ethtool -K link tx off`. The thread must be in the link's namespace.
func checksumOff(link string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{unix.ETHTOOL_STXCSUM, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq is 40 bytes
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// address gives the host's interface its addresses, without duplicate detection, and makes the
// whole world on-link: any host may then stand for any address on Earth, without a router in
// between.
func address(host *Namespace, addresses []netip.Addr) error {
	l, err := host.Links.LinkByName(deviceName)
	if err != nil {
		return fmt.Errorf("find %s: %w", deviceName, err)
	}
	families := map[int]bool{}
	for _, a := range addresses {
		ip := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
		if err := host.Links.AddrAdd(l, &netlink.Addr{IPNet: ip,
			Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("add address %s: %w", a, err)
		}
		families[a.BitLen()] = families[a.BitLen()] || !a.IsLinkLocalUnicast()
	}
	for bits, wanted := range families {
		if !wanted {
			continue
		}
		all := &net.IPNet{IP: make(net.IP, bits/8), Mask: net.CIDRMask(0, bits)}
		if err := host.Links.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all,
			Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("add the route to everywhere: %w", err)
		}
	}
	return nil
}
