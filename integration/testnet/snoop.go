package testnet

import (
	"fmt"
	"net/netip"
	"os"
)

// Snooper is a switch that snoops multicast, as physical ones do: a bridge of the kernel, between
// the fabric and some hosts. What it has not heard anybody listen to it keeps from those ports.
type Snooper struct{ ns *Namespace }

// The bridge of a snooper, and its end of the wire to the fabric.
const snooperBridge = "snoop"

// Snoop puts hosts beyond the uplink behind a switch that snoops and asks who listens, in version 1
// or 2 of multicast listener discovery. It asks every second: who waits for what it has heard waits
// for [Snooper.Groups].
func (w *World) Snoop(version int, hosts ...HostSpec) (*Snooper, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	s := &Snooper{n}
	w.snoopers = append(w.snoopers, s)
	wire := fmt.Sprintf("snooper%d", len(w.snoopers))
	if err := plug(w.fabric.Namespace, wire, n, nil); err != nil {
		return nil, err
	}
	if err := s.bridge(version); err != nil {
		return nil, err
	}
	for _, spec := range hosts {
		h, err := newHost(n, spec)
		if err != nil {
			return nil, err
		}
		w.hosts[spec.Name] = h
		w.spec.Outside = append(w.spec.Outside, spec)
		if _, err := s.run("ip", "link", "set", spec.Port, "master", snooperBridge); err != nil {
			return nil, err
		}
	}
	return s, w.fabric.join(wire)
}

// bridge makes the bridge, with the wire to the fabric. It asks from a link-local address, which it
// must have at once.
func (s *Snooper) bridge(version int) error {
	for _, args := range [][]string{
		{"link", "add", snooperBridge, "type", "bridge", "mcast_snooping", "1", "mcast_querier",
			"1", "mcast_mld_version", fmt.Sprint(version),
			"mcast_query_response_interval", "50", "mcast_query_interval", "100",
			"mcast_startup_query_interval", "100"},
		{"link", "set", deviceName, "master", snooperBridge},
	} {
		if _, err := s.run("ip", args...); err != nil {
			return err
		}
	}
	for file, value := range map[string]string{
		"ipv6/conf/" + snooperBridge + "/accept_dad": "0",
		"bridge/bridge-nf-call-ip6tables":            "0", // which would take the marks off frames
		"bridge/bridge-nf-call-iptables":             "0",
	} {
		if err := s.ns.set(file, value); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("the switch that snoops: %w", err)
		}
	}
	_, err := s.run("ip", "link", "set", snooperBridge, "up")
	return err
}

// Groups returns what `bridge mdb show` says: which groups are listened to at which port.
func (s *Snooper) Groups() (string, error) {
	return s.run("bridge", "mdb", "show", "dev", snooperBridge)
}

// Forget makes the switch forget who listens to a group; it asks again within a second.
func (s *Snooper) Forget(group netip.Addr) error {
	_, err := s.run("bridge", "mdb", "del", "dev", snooperBridge, "port", deviceName, "grp",
		group.String())
	return err
}

func (s *Snooper) run(name string, args ...string) (string, error) {
	out, err := s.ns.run(name, args...)
	if err != nil {
		return "", fmt.Errorf("the switch that snoops: %w", err)
	}
	return out, nil
}
