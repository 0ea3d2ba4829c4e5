package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Which single values are valid. Each function says what is wrong and what would be right, or "".

const (
	// MaxNameLength is the length in characters of a group's or instance's name and of a
	// description.
	MaxNameLength = 255
	// MaxInterfaceLength in bytes is IFNAMSIZ of linux/if.h without the terminating NUL.
	MaxInterfaceLength = 15
	// MinEtherType is the smallest that is no length (IEEE 802.3).
	MinEtherType = 0x0600
)

// BadName is of the name of a group, an instance or a host.
func BadName(s string) string {
	switch {
	case s == "":
		return "must not be empty"
	case BadText(s) != "":
		return BadText(s)
	case strings.TrimSpace(s) != s:
		return "must not begin or end with a space"
	}
	return ""
}

// BadText is of a description. Characters that a terminal would obey or not show are refused, as
// these texts end up in logs and tables.
func BadText(s string) string {
	if length := utf8.RuneCountInString(s); length > MaxNameLength {
		return "has " + wording.Count(length, "character") + "; at most 255"
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || r == utf8.RuneError {
			return "must not hold control or invisible characters, such as " +
				strings.Trim(strings.ToUpper(wording.QuoteRune(r)), `'`)
		}
	}
	return ""
}

// BadInterface is of the name of a network interface: what Linux refuses (dev_valid_name), and what
// is not printable ASCII or would need quotes in ovs-vsctl.
func BadInterface(s string) string {
	switch {
	case s == "":
		return "must not be empty; the name of an interface, such as tap-web-1"
	case len(s) > MaxInterfaceLength:
		return "is " + wording.Quote(s) + " of " + wording.Count(len(s), "byte") +
			"; the name of an interface has at most 15"
	case s == "." || s == "..":
		return "must not be " + wording.Quote(s)
	}
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`/:%"'\,`, r) {
			return "is " + wording.Quote(s) + "; the name of an interface has no " +
				wording.QuoteRune(r)
		}
	}
	return ""
}

// BadMAC is of the MAC of an interface.
func BadMAC(m MAC) string {
	switch {
	case m.IsZero():
		return "is all zeros, which is no interface's MAC"
	case m == BroadcastMAC:
		return "is the broadcast MAC, which no interface has"
	case m.IsMulticast():
		return "is " + m.String() +
			", a multicast MAC (its first byte is odd), which no interface has"
	}
	return ""
}

// reserved networks whose addresses no interface on a flat network can own.
var reserved = []struct {
	network netip.Prefix
	what    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified addresses"}, // RFC 1122, section 3.2.1.3
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback addresses"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast addresses"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "the loopback address"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped addresses"},
	{netip.MustParsePrefix("ff00::/8"), "multicast addresses"},
}

// BadOwn is of an address, or a network, that an interface uses as its own or beside its own.
func BadOwn(p netip.Prefix) string {
	if p.IsSingleIP() && isOrdinary(p.Addr()) {
		return ""
	}
	if problem := badNetwork(p); problem != "" {
		return problem
	}
	if p.Bits() == 0 {
		return "is " + p.String() +
			", which is every address there is; a port must not own them all"
	}
	for _, r := range reserved {
		if !r.network.Overlaps(p) {
			continue
		}
		if p.IsSingleIP() {
			return "is " + p.Addr().String() + ", one of " + r.what + " (" + r.network.String() +
				"), which no interface has"
		}
		return "is " + p.String() + ", which holds " + r.what + " (" + r.network.String() + ")"
	}
	return ""
}

// isOrdinary says of nearly all addresses that they are in none of the reserved networks.
func isOrdinary(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	first := a.As16()[0]
	return first != 0 && first != 0xff
}

// badNetwork is of a network.
func badNetwork(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "is no network"
	case p.Addr().Is4In6():
		return "is IPv4-mapped; " + MappedHint(p)
	case p != p.Masked():
		return "is " + p.String() + ", an address with a netmask; write " + p.Addr().String() +
			" for the one address, or " + p.Masked().String() + " for all of the network"
	}
	return ""
}

// MappedHint says how an IPv4-mapped network is to be written.
func MappedHint(p netip.Prefix) string {
	if p.Bits() < 96 {
		return "write the IPv4 network"
	}
	return "write " + netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).String()
}

// AddressText returns a network, or the address if it is one, as people write it.
func AddressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// refusedEtherTypes are those that the pipeline decides on itself, and why each is not to be
// listed: among them tags as they were before IEEE 802.1ad (0x9100 and its like), and those of
// backbones (IEEE 802.1ah, 0x88e7).
var refusedEtherTypes = map[uint16]string{
	0x0800: isBuiltIn, 0x0806: isBuiltIn, 0x86dd: isBuiltIn,
	0x8100: isTag, 0x88a8: isTag, 0x88e7: isTag, 0x9100: isTag, 0x9200: isTag, 0x9300: isTag,
	0x8847: isMPLS, 0x8848: isMPLS, 0x894f: isNSH,
}

const (
	isBuiltIn = "is IPv4, ARP or IPv6, which every port has; leave it out"
	isTag     = "is a VLAN tag; tagged frames are never passed"
	isMPLS    = "is MPLS, which could carry any IP packet past the rules; it is never passed"
	isNSH     = "is NSH, which could carry any frame past the rules; it is never passed"
)

// RefusedEtherTypes returns those, sorted, that no port can list.
func RefusedEtherTypes() []uint16 {
	out := make([]uint16, 0, len(refusedEtherTypes))
	for t := range refusedEtherTypes {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// BadEtherType is of an Ethernet type that a port lists.
func BadEtherType(t uint16) string {
	if t < MinEtherType {
		return "must be an Ethernet type from 0x0600 to 0xffff, such as 0x88cc"
	}
	if reason := refusedEtherTypes[t]; reason != "" {
		return "0x" + strconv.FormatUint(uint64(t)|1<<16, 16)[1:] + " " + reason
	}
	return ""
}

// badLimit is of a limit that is not [Unlimited].
func badLimit(l Limit) string {
	if l > MaxLimit && l != Unlimited {
		return "must be a decimal number from 0 to " + strconv.Itoa(int(MaxLimit))
	}
	return ""
}
