//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// The EtherTypes of protocols that speak to groups, and to which.
const etherLLDP, etherPPPoE = 0x88cc, 0x8863

var lldpMAC = policy.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e} // the nearest bridge: IEEE 802.1AB

// groupFrames are what each protocol sends, from a MAC.
var groupFrames = map[string]func(from policy.MAC) testnet.Frame{
	"LLDP": func(from policy.MAC) testnet.Frame {
		return testnet.Ether{Src: from, Dst: lldpMAC, Type: etherLLDP,
			Payload: append([]byte{2, 7, 4, 2, 0, 0, 0, 0, 1}, make([]byte, 37)...)}.Frame()
	},
	"PADI": func(from policy.MAC) testnet.Frame { // RFC 2516, section 5.1, for any service
		return testnet.Ether{Src: from, Dst: policy.BroadcastMAC, Type: etherPPPoE,
			Payload: append([]byte{0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0}, make([]byte, 36)...)}.Frame()
	},
	"RARP": func(from policy.MAC) testnet.Frame { return rarpOf(from, from).Frame() },
}

// rarpOf is what a hypervisor sends for a machine that has come to it, as QEMU does
// (announce_self_create in net/announce.c).
func rarpOf(src, about policy.MAC) rarp {
	return rarp{testnet.ARP{Src: src, Dst: policy.BroadcastMAC, Op: policy.RARPRequest, SHA: about,
		THA: about, SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}}
}

// rarp is an ARP packet under the EtherType of RARP, padded to the shortest frame.
type rarp struct{ testnet.ARP }

// Frame builds it.
func (r rarp) Frame() testnet.Frame {
	f := r.ARP.Frame()
	f[12], f[13] = 0x80, 0x35
	return append(f, make([]byte, 60-len(f))...)
}

var (
	speaker = vm("speaker", 71,
		"everything").with(fmt.Sprintf("ethertypes: [%#x, %#x, %#x]", etherLLDP, etherPPPoE,
		policy.EtherRARP))
	speaker2 = vm("speaker-2", 72,
		"everything").with(fmt.Sprintf("ethertypes: [%#x, %#x, %#x]", etherLLDP, etherPPPoE,
		policy.EtherRARP))
)

// L2-9: what a port lists passes as those protocols send it, to groups: from the port to the
// uplinks and trusted ports and to no other instance, whatever that lists; from there to the ports
// that list it, and to no other.
func TestL2_9_EtherTypesToGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, web, speaker, speaker2, ether,
		server), Outside: outside(), Daemon: daemon(t)})
	client := w.Host("client").MAC
	for name, frame := range groupFrames {
		t.Run(name, func(t *testing.T) {
			receives(t, w, "speaker", frame(speaker.mac()), "server", testnet.Beyond)
			receives(t, w, "client", frame(client), "speaker", "speaker-2")
			receives(t, w, "server", frame(server.mac()), "speaker", "speaker-2", testnet.Beyond)

			receives(t, w, "speaker", frame(speaker2.mac()))
			receives(t, w, "speaker", frame(client))
			receives(t, w, "speaker", frame(speaker.mac()).Tagged(7))
			receives(t, w, "client", frame(speaker.mac()))
			receives(t, w, "client", frame(client).Tagged(7))
			if name != "RARP" { // by which a hypervisor speaks of every port
				receives(t, w, "web-1", frame(web.mac()))
				receives(t, w, "ether-1", frame(ether.mac())) // which lists another
			}
		})
	}
}

// L2-9: a hypervisor says where a port's MAC is, whatever the port lists; of any other MAC it says
// nothing.
func TestL2_9_HypervisorsRARP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, web, db, speaker, server,
		vrrp), Outside: outside(), Daemon: daemon(t)})
	own := rarpOf(web.mac(), web.mac())
	change := func(f func(*rarp)) testnet.Frame { r := own; f(&r); return r.Frame() }
	receives(t, w, "web-1", own.Frame(), testnet.Beyond)
	receives(t, w, "vrrp", rarpOf(vrrp.mac(), vrrp.mac()).Frame(), testnet.Beyond)
	receives(t, w, "server", rarpOf(server.mac(), server.mac()).Frame(), "speaker", testnet.Beyond)
	for name, f := range map[string]testnet.Frame{
		"another's MAC":               rarpOf(db.mac(), db.mac()).Frame(),
		"about another's MAC":         rarpOf(web.mac(), db.mac()).Frame(),
		"by another's MAC":            rarpOf(db.mac(), web.mac()).Frame(),
		"about a stranger's MAC":      rarpOf(web.mac(), unknownMAC).Frame(),
		"to a neighbour":              change(func(r *rarp) { r.Dst = db.mac() }),
		"to another group":            change(func(r *rarp) { r.Dst = lldpMAC }),
		"an answer":                   change(func(r *rarp) { r.Op = 4 }),
		"an ARP request of the kind":  change(func(r *rarp) { r.Op = policy.ARPRequest }),
		"tagged":                      own.Frame().Tagged(7),
		"tagged with a priority only": own.Frame().Tagged(0),
	} {
		t.Run(name, func(t *testing.T) { receives(t, w, "web-1", f) })
	}
	t.Run("from outside", func(t *testing.T) {
		client := w.Host("client").MAC
		receives(t, w, "client", rarpOf(client, client).Frame(), "speaker") // who lists it
		receives(t, w, "client", rarpOf(web.mac(), web.mac()).Frame())
	})
}

// L2-9: a listed EtherType is in sync whatever Open vSwitch calls it: a start with nothing changed
// sends nothing, `plan` finds no difference.
func TestL2_9_EtherTypesAreInSync(t *testing.T) {
	t.Parallel()
	listed := []string{"0x8035"}
	for n := 0x0600; n <= 0xffff; n += 0x0101 { // of which none is refused
		listed = append(listed, fmt.Sprintf("%#x", n))
	}
	for name, types := range map[string][]string{"RARP alone": listed[:1], "many": listed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, web,
				vm("lists", 73, "everything").with("ethertypes: ["+strings.Join(types, ", ")+"]")),
				Outside: outside(), Daemon: daemon(t)})
			before := programOf(t, w)
			require.Contains(t, before, "rarp,")
			require.NoError(t, w.StopDaemon())
			require.NoError(t, w.StartDaemon())
			require.NoError(t, w.AwaitProgrammed())
			s, err := w.Status()
			require.NoError(t, err)
			require.Zero(t, s.Apply.Adds+s.Apply.Deletes, "flow mods of a start with nothing changed")
			said, err := w.Portcullis("plan")
			require.NoError(t, err, said) // which is to say that it exits with 0
			require.Equal(t, before, programOf(t, w))
			_, err = w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge,
				"table=10,priority=1,rarp,actions=drop")
			require.NoError(t, err)
			awaitShape(t, w, before)
			now, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.State == "in sync" && s.Counters.DriftRepaired > 0
			})
			require.NoError(t, err)
			require.Equal(t, 1, now.Counters.DriftRepaired, "what somebody else changed is that one flow")
		})
	}
}
