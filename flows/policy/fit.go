package policy

// How the fields of one port, and those of one rule, must fit each other: parts of [Validate].

// What is said of keys, too, before there is a value.
const (
	NeedsDirection = "a rule needs a direction: ingress (to the instance) or egress (from it)"
	NeedsPeer      = "a rule needs a peer: cidr (0.0.0.0/0 is all of IPv4, ::/0 all of IPv6) " +
		"or group"
	TrustedUnlimited = "a trusted port is not limited; leave limits out, or set trusted: false"
)

func (v *Validator) port(at location, p *Port) {
	v.wrong(at.at(keyName), BadInterface(p.Name))
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

func (v *Validator) rule(at location, r *Rule) {
	if r.Direction != Ingress && r.Direction != Egress {
		v.wrong(at, NeedsDirection)
	}
	if r.Protocol > AnyProtocol {
		v.wrong(at.at(keyProtocol), "must be a number from 0 to 255, or any")
	} else {
		v.rulePorts(at, r)
		v.ruleTypes(at, r)
	}
	if r.Peer.Group != "" {
		v.reference(at.at(keyGroup), r.Peer.Group)
	}
	if r.Peer.CIDR.IsValid() {
		v.wrong(at.at(keyCIDR), badNetwork(r.Peer.CIDR))
		v.wrong(at.at(keyCIDR), badFamily(r))
	}
	switch {
	case r.Peer.Group != "" && r.Peer.CIDR.IsValid():
		v.wrong(at, "cidr and group are both given; a rule has exactly one peer: write two rules")
	case r.Peer.Group == "" && !r.Peer.CIDR.IsValid():
		v.wrong(at, NeedsPeer)
	}
	v.wrong(at.at(keyDescription), BadText(r.Description))
}

func (v *Validator) rulePorts(at location, r *Rule) {
	switch p := r.Protocol; {
	case p.HasPorts() && r.Ports == PortRange{}:
		v.wrongf(at, "%s needs ports, such as 80 or 8000-8999; 1-65535 are all", p)
	case p.HasPorts() && (r.Ports.First == 0 || r.Ports.First > r.Ports.Last):
		v.wrongf(at.at(keyRulePorts),
			"is %s; must be a range of ports from 1 to 65535, such as 8000-8999",
			r.Ports)
	case p.HasPorts() || r.Ports == PortRange{}:
	case p == AnyProtocol:
		v.wrong(at.at(keyRulePorts), "protocol any is every port of every protocol; "+
			"leave ports out, or name tcp, udp or sctp")
	default:
		v.wrongf(at.at(keyRulePorts), "protocol %s has no ports; leave ports out", p)
	}
}

func (v *Validator) ruleTypes(at location, r *Rule) {
	if !r.Protocol.HasTypes() {
		for n, number := range [...]int16{r.ICMPType, r.ICMPCode} {
			if number != AnyICMP {
				v.wrongf(at.at(keyType+key(n)),
					"protocol %s has no ICMP types and codes; leave it out",
					r.Protocol)
			}
		}
		return
	}
	for n, number := range [...]int16{r.ICMPType, r.ICMPCode} {
		if number < AnyICMP || number > 255 {
			v.wrongf(at.at(keyType+key(n)), "must be a decimal number from -1 to 255, not %d",
				number)
		}
	}
	if r.ICMPCode != AnyICMP && r.ICMPType == AnyICMP {
		v.wrong(at.at(keyCode),
			"a code has a meaning only with a type; add icmp_type, or leave icmp_code out")
	}
}

// badFamily refuses an ICMP of one IP version with a network of the other: it could never match.
func badFamily(r *Rule) string {
	is4 := r.Peer.CIDR.Addr().Is4()
	switch {
	case r.Protocol == ICMP && !is4:
		return r.Peer.CIDR.String() + " is IPv6, but icmp is of IPv4; write protocol icmpv6"
	case r.Protocol == ICMPv6 && is4:
		return r.Peer.CIDR.String() + " is IPv4, but icmpv6 is of IPv6; write protocol icmp"
	}
	return ""
}
