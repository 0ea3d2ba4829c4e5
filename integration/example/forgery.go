package example

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// Sent is a frame and who must receive it.
type Sent struct {
	Name  string
	From  string
	Frame testnet.Frame
	To    []string // none = nobody
}

// Forgery is a frame that must be dropped, and its honest twin: as like it as can be, and it must
// pass.
type Forgery struct{ Forged, Honest Sent }

// Forgeries are frames of several kinds. No group's rules are about any of them.
func Forgeries(w *testnet.World) []Forgery {
	return slices.Concat(forgedSenders(w), forgedNeighbors(w), forgedServers(w), forgedOutside(w))
}

// pair is a frame that is forged, and one that is not, from one host.
func pair(forgedName string, forged testnet.Frame, honestName string, honest testnet.Frame,
	from string, to ...string) Forgery {
	return Forgery{Sent{forgedName, from, forged, nil}, Sent{honestName, from, honest, to}}
}

// forgedSenders say that they are another host.
func forgedSenders(w *testnet.World) []Forgery {
	ip := w.Opening("web-1", "db-1", testnet.TCP(3306), testnet.IPv4)
	stolenIP, six := ip, w.Opening("web-1", "db-1", testnet.TCP(3306), testnet.IPv6)
	stolenIP.From = w.Host("web-2").Address(testnet.IPv4)
	stolenSix := six
	stolenSix.From = w.Host("web-2").Address(testnet.IPv6)
	stolenMAC := ip
	stolenMAC.Src = w.Host("web-2").MAC
	return []Forgery{
		pair("another's source MAC", stolenMAC.Frame(), "own MAC", ip.Frame(), "web-1", "db-1"),
		pair("another's IPv4 address", stolenIP.Frame(), "own address", ip.Frame(), "web-1", "db-1"),
		pair("another's IPv6 address", stolenSix.Frame(), "own address", six.Frame(), "web-1", "db-1"),
		pair("802.1Q tag", ip.Frame().Tagged(7), "untagged", ip.Frame(), "web-1", "db-1"),
	}
}

// forgedNeighbors say that they have the router's address.
func forgedNeighbors(w *testnet.World) []Forgery {
	router := w.Host("router")
	arp := w.ARPRequest("web-1", "db-1")
	poison := arp
	poison.SPA = router.Address(testnet.IPv4)
	na := w.Advertisement("web-1", "db-1")
	poisonND := na
	poisonND.Target = router.Address(testnet.IPv6)
	return []Forgery{
		pair("ARP: I am the router", poison.Frame(), "ARP: I am web-1", arp.Frame(), "web-1", "db-1"),
		pair("ND: I am the router", poisonND.Frame(), "ND: I am web-1", na.Frame(), "web-1", "db-1"),
	}
}

// forgedServers say what only a router or a DHCP server may, or what nobody may.
func forgedServers(w *testnet.World) []Forgery {
	web, office, router := w.Host("web-1"), w.Host("office"), w.Host("router")
	discover := w.DHCPDiscover("web-1").Frame()
	ra := testnet.ND{Src: router.MAC, Dst: policy.AllNodesMAC, From: router.MAC.LinkLocal(),
		To: netip.MustParseAddr("ff02::1"), HopLimit: 255, Type: policy.RouterAdvertisement}
	falseRA := ra
	falseRA.Src, falseRA.From = web.MAC, web.MAC.LinkLocal()
	instances := []string{"web-1", "web-2", "db-1", "db-2", "mgmt-1"}
	return []Forgery{
		{Sent{"router advertisement", "web-1", falseRA.Frame(), nil},
			Sent{"from the router", "router", ra.Frame(), instances}},
		pair("DHCP answer", w.DHCPAnswer("web-1", "db-1", testnet.IPv4).Frame(), "DHCP question",
			discover, "web-1", testnet.Beyond),
		pair("unknown EtherType",
			testnet.Ether{Src: web.MAC, Dst: office.MAC, Type: 0x88b5, Payload: make([]byte, 46)}.Frame(),
			"IPv4", w.Opening("web-1", "office", testnet.UDP(9), testnet.IPv4).Frame(), "web-1",
			testnet.Beyond),
	}
}

// forgedOutside are those of hosts behind the uplink.
func forgedOutside(w *testnet.World) []Forgery {
	astray := w.Opening("office", "web-1", testnet.TCP(80), testnet.IPv4)
	known := astray.Frame()
	astray.Dst = policy.MAC{2, 0, 0, 0xde, 0xad, 1}
	fromAfar := w.ARPRequest("office", "web-1")
	claim := fromAfar
	claim.SPA = w.Host("db-1").Address(testnet.IPv4)
	return []Forgery{
		pair("unknown MAC, from outside", astray.Frame(), "known MAC", known, "office", "web-1"),
		pair("ARP from outside: I am db-1", claim.Frame(), "ARP: I am the office", fromAfar.Frame(),
			"office", "web-1"),
	}
}
