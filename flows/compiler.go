package flows

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Compiler holds the program of one input and turns it into that of the next. A change costs what
// it touches, not what exists: the program is made of units (a port, a rule, a member's address
// ...), each of which knows its flows, and only those that a change touches are written again. The
// result is the same as if the last input were compiled alone.
//
// The zero Compiler is ready and has no flow. It must not be used by two goroutines at once.
type Compiler struct {
	input   Input
	index   *index // of input; nil = to be made anew
	program program
	hashes  hashes // without functions: those of [hashes.orDefault]

	capacity capacity
}

// Update makes the program that of an input, and returns what changed. After an error, which is one
// of [Compile], the program is still that of the last input.
func (c *Compiler) Update(in Input) (openflow.Delta, error) {
	if c.index == nil || !c.input.hasSurroundings(in) {
		return c.rebuild(in)
	}
	x := c.index
	c.index = nil // until it is certain that it agrees with the program
	x.update(c.input, in)
	delta, err := c.program.write(x)
	if err != nil {
		return openflow.Delta{}, err
	}
	c.input, c.index = in, x
	return delta, nil
}

// rebuild compiles an input alone.
func (c *Compiler) rebuild(in Input) (openflow.Delta, error) {
	c.index = nil
	x := newIndex(in, c.hashes.orDefault(), c.capacity.orDefault())
	var fresh program
	delta, err := fresh.write(x)
	if err != nil {
		return openflow.Delta{}, err
	}
	if c.program.at != nil {
		delta = fresh.since(&c.program)
	}
	c.input, c.index, c.program = in, x, fresh
	return delta, nil
}

// Len is the number of flows.
func (c *Compiler) Len() int { return len(c.program.at) }

// Fingerprint returns the fingerprint of the program.
func (c *Compiler) Fingerprint() Fingerprint { return c.program.fingerprint }

// Program returns all of the program, sorted.
func (c *Compiler) Program() *Program {
	p := &Program{Flows: c.program.list(), Limits: c.Limits(), LeftOut: c.LeftOut()}
	slices.SortFunc(p.Flows, openflow.Compare)
	return p
}

// LeftOut returns what the program does without because it cannot be compiled, in the order in
// which the policy has it.
func (c *Compiler) LeftOut() []LeftOut {
	if c.index == nil {
		return nil
	}
	return c.index.out.list(c.input)
}

// Limits returns what the program needs beside its flows.
func (c *Compiler) Limits() Limits {
	if c.index == nil {
		return Limits{}
	}
	return c.index.limits()
}

// Binding says where a port of the policy is on the switch.
type Binding struct {
	Port   string // the interface's name
	OFPort uint32 // its OpenFlow port number, never 0
	// its conntrack zone, never 0, and its key in the pipeline: no two ports of a bridge share one
	Zone  uint16
	Epoch uint32 // the revision at which it last lost a permission, never 0
}

// Uplink is a port of the bridge toward the physical network.
type Uplink struct {
	Name   string
	OFPort uint32
}

// Input is all that a program depends on.
type Input struct {
	Policy *policy.Policy
	Site   policy.Site
	// of the local ports that the switch has; the others are left out, but count as members
	Bindings []Binding
	Uplinks  []Uplink
	// LastMeter is the highest meter that the switch has; limits that need a later one are left out. 0
	// = it cannot meter.
	LastMeter uint32
	// InnerTags says that the switch reads VLAN headers behind the first. Priority tags then stay out:
	// a flow that its userspace datapath has cached for frames with one header of VLAN 0 is used for
	// those with another behind it, too.
	InnerTags bool
}

// Same says whether two inputs are the same, with the very same policy.
func (in Input) Same(other Input) bool {
	return in.Policy == other.Policy && slices.Equal(in.Bindings, other.Bindings) &&
		in.hasSurroundings(other)
}

// hasSurroundings says whether two inputs differ in policy and bindings at most.
func (in Input) hasSurroundings(other Input) bool {
	return in.Site.Equal(other.Site) && slices.Equal(in.Uplinks, other.Uplinks) &&
		in.LastMeter == other.LastMeter &&
		in.InnerTags == other.InnerTags
}

// Compile turns a policy into the program of this host's bridge. The same input gives the same
// bytes, whatever the order of groups, rules, instances and bindings. What cannot be compiled is
// left out and named in the program. The error is that of a flow which is about no port, rule or
// address: of the site or the uplinks.
func Compile(in Input) (*Program, error) {
	var c Compiler
	if _, err := c.Update(in); err != nil {
		return nil, err
	}
	return c.Program(), nil
}

// lastOFPort is the highest OpenFlow port number that a port may have (OpenFlow 1.5, section 7.2.1:
// those above are reserved).
const lastOFPort = 0xfeff

// checkBindings returns the bindings that are of use, by port, and why the others are not. Of two
// that want the same the first by name has it.
func checkBindings(in Input) (bound map[string]Binding, unbound map[string]string) {
	bound, unbound = make(map[string]Binding, len(in.Bindings)), map[string]string{}
	zones, numbers := make(map[uint16]string, len(in.Bindings)),
		make(map[uint32]string, len(in.Bindings))
	for _, u := range in.Uplinks {
		numbers[u.OFPort] = u.Name
	}
	byName := slices.SortedFunc(slices.Values(in.Bindings), func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Zone, b.Zone),
			cmp.Compare(a.OFPort, b.OFPort), cmp.Compare(a.Epoch, b.Epoch))
	})
	for _, b := range byName {
		reason := unusable(b, zones[b.Zone], numbers[b.OFPort])
		if _, twice := bound[b.Port]; twice {
			reason = "it is bound twice"
		}
		if reason != "" {
			unbound[b.Port] = reason
			continue
		}
		zones[b.Zone], numbers[b.OFPort], bound[b.Port] = b.Port, b.Port, b
	}
	for name := range unbound {
		delete(bound, name) // of a port that is bound twice nobody knows where it is
	}
	return bound, unbound
}

// unusable says why a binding is of no use; "" = it is. The others are the ports that have its zone
// and its number.
func unusable(b Binding, sameZone, sameNumber string) string {
	switch {
	case b.OFPort == 0 || b.Zone == 0 || b.Epoch == 0:
		return fmt.Sprintf("OpenFlow port %d, zone %d, epoch %d: none may be 0", b.OFPort, b.Zone,
			b.Epoch)
	case b.OFPort > lastOFPort:
		return fmt.Sprintf("OpenFlow port %d: that of a port is at most %d", b.OFPort, lastOFPort)
	case sameZone != "":
		return fmt.Sprintf("port %s has its zone %d, too", sameZone, b.Zone)
	case sameNumber != "":
		return fmt.Sprintf("port %s has its OpenFlow port %d, too", sameNumber, b.OFPort)
	}
	return ""
}

// Difference is what tells the flows of a switch from a program.
type Difference struct {
	Held        int             // flows that the switch holds
	Fingerprint Fingerprint     // of these
	Foreign     []openflow.Flow // held, and no flow of the program has the key
	Altered     []Altered       // held in another form
	Missing     []openflow.Flow // of the program
}

// Altered is a flow that the switch holds in another form than the program.
type Altered struct{ Held, Want openflow.Flow }

// Delta is what turns the flows of the switch into the program.
func (d Difference) Delta() openflow.Delta {
	out := openflow.Delta{Delete: d.Foreign, Add: slices.Clone(d.Missing)}
	for _, a := range d.Altered {
		out.Add, out.Replaced = append(out.Add, a.Want), append(out.Replaced, a.Held)
	}
	out.Sort()
	return out
}

// Compare reads the flows that a switch holds, in any order, and says how they differ from the
// program. It keeps those that differ only. The error is that of the flows.
func (c *Compiler) Compare(held iter.Seq2[openflow.Flow, error]) (Difference, error) {
	p := &c.program
	p.looks++
	var d Difference
	met := 0
	for f, err := range held {
		if err != nil {
			return Difference{}, err
		}
		d.Held++
		d.Fingerprint = d.Fingerprint.with(f)
		e := p.find(f.Key())
		if e == nil {
			d.Foreign = append(d.Foreign, f)
			continue
		}
		if e.seen != p.looks {
			e.seen = p.looks
			met++
		}
		if e.Flow != f {
			d.Altered = append(d.Altered, Altered{Held: f, Want: e.Flow})
		}
	}
	if met < len(p.at) {
		for _, e := range p.at {
			if e.seen != p.looks {
				d.Missing = append(d.Missing, e.Flow)
			}
		}
	}
	d.sort()
	return d, nil
}

func (d Difference) sort() {
	slices.SortFunc(d.Foreign, openflow.Compare)
	slices.SortFunc(d.Missing, openflow.Compare)
	slices.SortFunc(d.Altered, func(a, b Altered) int { return openflow.Compare(a.Held, b.Held) })
}

// Fingerprint stands for a set of flows: two sets that are not the same have different ones, but
// for one in 2^128. The zero Fingerprint is that of no flows.
type Fingerprint struct{ high, low uint64 }

// with returns the fingerprint of the set and one flow more.
func (m Fingerprint) with(f openflow.Flow) Fingerprint {
	high, low := digest(f)
	sum, carry := bits.Add64(m.low, low, 0)
	m.low = sum
	m.high, _ = bits.Add64(m.high, high, carry)
	return m
}

// without returns the fingerprint of the set and one flow less.
func (m Fingerprint) without(f openflow.Flow) Fingerprint {
	high, low := digest(f)
	difference, borrow := bits.Sub64(m.low, low, 0)
	m.low = difference
	m.high, _ = bits.Sub64(m.high, high, borrow)
	return m
}

// Without returns the fingerprint of the set without some of its flows.
func (m Fingerprint) Without(some []openflow.Flow) Fingerprint {
	for _, f := range some {
		m = m.without(f)
	}
	return m
}

// FingerprintOf returns the fingerprint of a set of flows.
func FingerprintOf(flows []openflow.Flow) Fingerprint {
	var m Fingerprint
	for _, f := range flows {
		m = m.with(f)
	}
	return m
}

// digest returns two hashes of all of a flow.
func digest(f openflow.Flow) (high, low uint64) {
	var sums [2]uint64
	head := [11]byte{f.Table, byte(f.Priority >> 8), byte(f.Priority)}
	binary.BigEndian.PutUint64(head[3:], f.Cookie)
	match := f.Match.Compact()
	length := [2]byte{byte(len(match) >> 8), byte(len(match))} // so that it is clear where it ends
	for seed := range sums {
		var h xxhash.Digest
		h.ResetWithSeed(uint64(seed))
		_, _ = h.Write(head[:])
		_, _ = h.Write(length[:])
		_, _ = h.WriteString(match)
		_, _ = h.WriteString(f.Actions.Compact())
		sums[seed] = h.Sum64()
	}
	return sums[0], sums[1]
}
