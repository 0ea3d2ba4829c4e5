// Package hostnet reads what this host itself uses its network devices for, from the kernel
// (rtnetlink(7)). It judges nothing: [config.Settings.DeviceMisfits] does.
package hostnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config"
)

// attempts is how often a list is asked for that changed while it was read.
const attempts = 5

// Devices returns the devices of the network namespace of the calling thread, with the host's
// addresses and routes. The error says that the kernel could not be asked, or that what it tells
// goes on changing.
func Devices() ([]config.Device, error) {
	var out []config.Device
	var err error
	for range attempts {
		if out, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's network devices: %w", err)
	}
	return out, nil
}

func read() ([]config.Device, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	out, byIndex := make([]config.Device, len(links)), make(map[int]*config.Device, len(links))
	for n, l := range links {
		out[n].Names = append([]string{l.Attrs().Name}, l.Attrs().AltNames...)
		byIndex[l.Attrs().Index] = &out[n]
	}
	stack(links, byIndex)
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if d := byIndex[a.LinkIndex]; d != nil {
			d.Addresses = append(d.Addresses, prefix(a.IPNet))
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := routes(family, byIndex); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stacked are the kinds of devices that are made of the one that they are linked to. The other end
// of a veth pair is linked, too, and is not made of it.
var stacked = []string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"}

// stack notes which devices are made of which.
func stack(links []netlink.Link, byIndex map[int]*config.Device) {
	for _, l := range links {
		at := l.Attrs()
		if master := byIndex[at.MasterIndex]; master != nil { // a bond, a bridge, ovs-system
			byIndex[at.Index].Above = append(byIndex[at.Index].Above, master.Names[0])
		}
		if below := byIndex[at.ParentIndex]; below != nil && at.NetNsID < 0 &&
			slices.Contains(stacked, l.Type()) {
			below.Above = append(below.Above, at.Name)
		}
	}
}

// routes notes by which devices the host reaches whom. There may be a million of them: none is kept
// that another has said already.
func routes(family int, byIndex map[int]*config.Device) error {
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	return netlink.RouteListFilteredIter(family, every, netlink.RT_FILTER_TABLE,
		func(r netlink.Route) bool {
			to := prefix(r.Dst)
			if !to.IsValid() { // the default route
				to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
				if family == netlink.FAMILY_V6 {
					to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
				}
			}
			note(byIndex[r.LinkIndex], to)
			for _, hop := range r.MultiPath {
				note(byIndex[hop.LinkIndex], to)
			}
			return true
		})
}

// mostRoutes is how many routes of a device are kept. Those of the kernel itself, to link-local and
// multicast destinations, are fewer.
const mostRoutes = 64

func note(d *config.Device, to netip.Prefix) {
	if d != nil && len(d.Routes) < mostRoutes {
		d.Routes = append(d.Routes, to)
	}
}

// prefix returns a network; the zero Prefix for nil.
func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, _ := netip.AddrFromSlice(n.IP) // of 4 or 16 bytes
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits)
}
