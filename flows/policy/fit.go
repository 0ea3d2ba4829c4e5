package policy

import "github.com/portcullis/portcullis/flows/policy/wording"

// How the fields of one port must fit each other: a part of [Validate].

// TrustedUnlimited is said of keys, too, before there is a value.
const TrustedUnlimited = "a trusted port is not limited; leave limits out, or set trusted: false"

func (v *Validator) port(at location, p *Port) {
	if p.IfaceID == "" || p.IfaceID != p.Name {
		v.wrong(at.at(keyName), BadInterface(p.Name))
	}
	if p.IfaceID != "" {
		v.wrong(at.at(keyIfaceID), BadName(p.IfaceID))
	}
	v.wrong(at.at(keyMAC), BadMAC(p.MAC))
	for n, a := range p.Addresses {
		v.wrong(at.of(keyAddresses, n), BadOwn(a))
	}
	for n, a := range p.Allowed {
		v.wrong(at.of(keyAllowed, n).sub(keyAddress), BadOwn(a.Prefix))
		if !a.MAC.IsZero() {
			v.wrong(at.of(keyAllowed, n).sub(keyMAC), BadMAC(a.MAC))
		}
	}
	for n, t := range p.EtherTypes {
		v.wrong(at.of(keyEtherTypes, n), BadEtherType(t))
	}
	for n, l := range [...]Limit{p.Limits.Connections, p.Limits.NewConnections, p.Limits.ARPNDDHCP,
		p.Limits.Fragments} {
		v.wrong(at.at(keyLimits).sub(keyConnections+key(n)), badLimit(l))
	}
	v.wrong(at.at(keyDevice), badType(p))
	v.wrong(at.at(keyHostDevice), badHostDevice(p))
	v.wrong(at.at(keyIfaceID), badIfaceID(p))
	v.wrong(at.at(keyLimits), badLimits(p))
	v.wrong(at.at(keyLogDenied), badLogDenied(p))
}

func badType(p *Port) string {
	if p.Type != ExistingDevice && p.Type != InternalDevice {
		return `must be internal (Open vSwitch makes the device) or "" (it exists already)`
	}
	return ""
}

func badHostDevice(p *Port) string {
	if p.HostDevice && p.Type == InternalDevice {
		return "a device that Open vSwitch makes for the port is no other one of the host; " +
			"leave host_device out, or leave type out"
	}
	return ""
}

func badIfaceID(p *Port) string {
	if p.IfaceID != "" && p.IfaceID == p.Name && p.Type == InternalDevice {
		return "a device that Open vSwitch makes for the port needs a name; name it, or leave type out"
	}
	return ""
}

func badMigratingTo(i *Instance) string {
	switch {
	case i.MigratingTo == "":
		return ""
	case i.Host == "":
		return "an instance without a host is on every host; say with host where it runs now"
	case i.Host == Nowhere:
		return "an instance that is on no host does not move; set host instead"
	case i.MigratingTo == i.Host:
		return "is " + wording.Quote(i.Host) + ", where it runs; name the host that it moves to"
	case i.MigratingTo == Nowhere:
		return "is " + wording.Quote(Nowhere) + ", which is no host; name the one that it moves to"
	}
	return BadName(i.MigratingTo)
}

func badLimits(p *Port) string {
	if p.Trusted && p.Limits != (Limits{}) {
		return TrustedUnlimited
	}
	return ""
}

func badLogDenied(p *Port) string {
	switch {
	case p.LogDenied > No:
		return "must be true or false"
	case p.Trusted && p.LogDenied != Unset:
		return "nothing is denied at a trusted port; leave log_denied out, or set trusted: false"
	}
	return ""
}
