package hook

import "github.com/vishvananda/netlink"

// A machine that is awaited gets what its neighbours here send to it twice: where it runs, and in
// its device here, which nobody reads yet. What has waited there it must work through before
// anything new when it goes on, and answers a second time. So the device holds little until then.

// awaitedFrames is how many frames a device holds whose machine is awaited. What the kernel gives a
// tap device is 1000 (tun_net_init in drivers/net/tun.c).
const awaitedFrames = 32

// queues are the lengths in frames that devices had before they were shortened, by name.
type queues map[string]int

// shorten has devices hold little, from now on. One that the kernel does not let change keeps what
// it has: the machine then receives more of it twice.
func (q queues) shorten(devices []netDevice) {
	for _, d := range devices {
		name := d.Target.Device
		if _, isShort := q[name]; isShort || !d.isOfOVS() {
			continue
		}
		link, err := netlink.LinkByName(name)
		if err != nil || link.Attrs().TxQLen <= awaitedFrames {
			continue
		}
		if netlink.LinkSetTxQLen(link, awaitedFrames) == nil {
			q[name] = link.Attrs().TxQLen
		}
	}
}

// restore gives the devices that are still there back what they held.
func (q queues) restore() {
	for name, length := range q {
		if link, err := netlink.LinkByName(name); err == nil {
			_ = netlink.LinkSetTxQLen(link, length)
		}
	}
}
