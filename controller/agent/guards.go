package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file is which ports must not be taken as instances'. desire in sync.go calls it.
// Invariant: what cannot be judged is not taken.

// judgeEvery is how often it is looked whether the host has given up a device that a port waits
// for.
const judgeEvery = 2 * time.Second

// guards tell which ports of the policy must not be taken as instances' (see [config.Misfit]), and
// what is doubtful. A port that is refused holds up nobody. What the settings say is refused at all
// times; what the host does with a device only when the port is to be taken: an address that comes
// to a device later is told of, and cuts no instance off.
type guards struct {
	settings config.Settings
	devices  func() ([]config.Device, error) // nil = they are not looked at
	log      *logrus.Entry

	policy  *policy.Policy
	fixed   map[string]string // why the settings refuse a port of the policy, by its name
	host    string            // see [config.Settings.HostWarning]
	refused map[string]string // why a port is refused, by its name
	stale   bool              // the devices are to be looked at, even if no port is to be taken
	waiting bool              // a port is refused for what the host does with its device
	doubts  []string          // about ports that were taken before
}

func newGuards(opts Options) guards {
	return guards{devices: opts.Devices, log: opts.Log, stale: true,
		settings: config.Settings{Bridge: opts.Bridge, Host: opts.Site.Host,
			Uplinks: opts.Uplinks, Gateways: opts.Site.Gateways}}
}

// judge decides about the ports of this host's instances, which have these rows.
func (g *guards) judge(p *policy.Policy, locals []*policy.Instance, rows map[string]bridge.Port) {
	if g.policy != p {
		g.policy, g.fixed, g.stale = p, map[string]string{}, true
		for _, m := range g.settings.Misfits(locals) {
			g.fixed[m.Port] = m.Error.Error()
		}
		if host := g.settings.HostWarning(p); host != g.host {
			g.host = host
			if host != "" {
				g.log.Warn(host)
			}
		}
	}
	before := g.refused
	g.refused, g.waiting = maps.Clone(g.fixed), false
	g.judgeDevices(locals, rows)
	for name, reason := range g.refused {
		if before[name] != reason {
			g.log.WithField("port", name).Error("the port is not taken: " + reason)
		}
	}
}

// judgeDevices refuses ports whose device the host uses.
func (g *guards) judgeDevices(locals []*policy.Instance, rows map[string]bridge.Port) {
	untaken := map[string]policy.Position{}
	for _, i := range locals {
		for _, port := range i.Ports {
			if rows[port.Name].Zone == 0 && port.Type == policy.ExistingDevice && !port.HostDevice {
				untaken[port.Name] = port.At
			}
		}
	}
	if g.devices == nil || len(untaken) == 0 && !g.stale {
		return
	}
	locals, ports := atDevices(locals, rows)
	devices, err := g.devices()
	if err != nil {
		for name, at := range untaken {
			g.refuse(name, fmt.Sprintf("%s: whether the host uses the device itself is not "+
				"known: %v", at, err))
		}
		return
	}
	g.stale, g.doubts = false, nil
	for _, m := range g.settings.DeviceMisfits(locals, devices) {
		m.Port = cmp.Or(ports[m.Port], m.Port)
		if _, ok := untaken[m.Port]; ok {
			g.refuse(m.Port, m.Error.Error())
		} else {
			g.doubts = append(g.doubts,
				m.Error.Error()+"; as it was taken before, it stays an instance's")
		}
	}
}

// atDevices are instances with the names of their ports' devices in place of their own, and the
// ports of those devices.
func atDevices(locals []*policy.Instance, rows map[string]bridge.Port) ([]*policy.Instance,
	map[string]string) {
	out, ports := slices.Clone(locals), map[string]string{}
	for n, i := range locals {
		for nth, port := range i.Ports {
			device := rows[port.Name].Name
			if device == "" || device == port.Name {
				continue
			}
			if out[n] == i {
				copied := *i
				copied.Ports = slices.Clone(i.Ports)
				out[n] = &copied
			}
			out[n].Ports[nth].Name, ports[device] = device, port.Name
		}
	}
	return out, ports
}

func (g *guards) refuse(port, reason string) {
	if g.refused[port] == "" {
		g.refused[port], g.waiting = reason, true
	}
}

// warnings are for the status.
func (g *guards) warnings() []string {
	if g.host == "" {
		return g.doubts
	}
	return append([]string{g.host}, g.doubts...)
}

// hostError says that a start would take away the ports of a host, perhaps only because its name is
// another one.
type hostError struct {
	host, was string
	count     int
	example   string
}

func (e *hostError) Error() string {
	return fmt.Sprintf("nothing is taken away: no instance of the policy is on this host, which "+
		"is %q by its hostname, but ports of the bridge "+
		"are of instances that it has on host %q (%d, such as %s). Set host in the settings: to "+
		"%q if this is that host, to %q if "+
		"their ports are to go", e.host, e.was, e.count, e.example, e.was, e.host)
}

// checkHost returns a [*hostError] where a start finds nothing to do but to take away ports that
// the policy has on another host, and nobody has set the name of this one. Whoever sets it has said
// what is to be.
func (r *reconciler) checkHost(locals []*policy.Instance, rows map[string]bridge.Port) error {
	hasPorts := func(i *policy.Instance) bool { return len(i.Ports) > 0 }
	if r.isDone || r.opts.HostGiven || slices.ContainsFunc(locals, hasPorts) {
		return nil
	}
	e := &hostError{host: r.opts.Site.Host}
	for _, i := range r.policy.Instances {
		for _, port := range i.Ports {
			if row := rows[port.Name]; row.Zone != 0 && row.MAC == port.MAC.String() {
				if e.count++; e.count == 1 {
					e.was, e.example = i.Host, port.Name+" of "+i.Name
				}
			}
		}
	}
	if e.count == 0 {
		return nil
	}
	return e
}
