package census

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
)

// What is asked about classes, and how the answers add up.

// Answer says for how many pairs of two ends services are admitted.
type Answer struct {
	From    string          `json:"from"` // as asked
	To      string          `json:"to"`
	Service string          `json:"service"`
	Verdict explain.Outcome `json:"verdict"` // admitted: for all pairs; partly: for some, or in part
	Reason  string          `json:"reason,omitempty"`
	Pairs   Counts          `json:"pairs"`
	Kinds   []Kind          `json:"kinds"`

	families [2]Counts
}

// Counts are numbers of pairs of addresses; a network that is judged alike counts as one.
type Counts struct {
	Admitted int `json:"admitted"`
	Partly   int `json:"partly"` // in part of the services, or by some ways only
	Denied   int `json:"denied"`
}

// All is how many pairs there are.
func (c Counts) All() int { return c.Admitted + c.Partly + c.Denied }

// Verdict says whether all, some or none are admitted; some is also: in part.
func (c Counts) Verdict() explain.Outcome {
	switch {
	case c.All() == 0, c.Admitted+c.Partly == 0:
		return explain.Denied
	case c.Admitted == c.All():
		return explain.Admitted
	}
	return explain.Partly
}

func (c *Counts) add(v explain.Outcome, n int) {
	switch v {
	case explain.Admitted:
		c.Admitted += n
	case explain.Partly:
		c.Partly += n
	default:
		c.Denied += n
	}
}

// Of returns the pairs of one family.
func (a *Answer) Of(v6 bool) Counts {
	if v6 {
		return a.families[1]
	}
	return a.families[0]
}

// pair is two classes, and what is the same of each pair of their endpoints.
type pair struct {
	family   int
	from, to *class
	number   int // of pairs of endpoints, without those of one port
	asked    explain.Services
	passes   explain.Services
	guard    explain.Outcome // admitted: by all ways; partly: by some
	denies   string          // which rules do, of those that are asked first
	verdict  explain.Outcome
}

// MostPairs is how many pairs of classes one question may be about.
const MostPairs = 50_000_000

// ErrTooMany says that both ends of a question are too many to be asked about.
type ErrTooMany struct{ From, To string }

func (e *ErrTooMany) Error() string {
	return fmt.Sprintf("%s and %s are too many to be asked about at once: ask about groups, or see "+
		"'portcullis matrix'", e.From, e.To)
}

// Ask says whether connections of services may be opened between two ends, without a word why. The
// error is an [*ErrTooMany].
func (c *Census) Ask(from, to explain.End, s explain.Asked) (*Answer, error) {
	out := &Answer{From: from.Name, To: to.Name, Service: s.String()}
	for f := range out.families {
		err := c.each(c.crowd(from), c.crowd(to), f, s.Of(f == 1), func(p pair) {
			out.families[f].add(p.verdict, p.number)
		})
		if err != nil {
			return nil, err
		}
		out.Pairs.Admitted += out.families[f].Admitted
		out.Pairs.Partly += out.families[f].Partly
		out.Pairs.Denied += out.families[f].Denied
	}
	out.Verdict = out.Pairs.Verdict()
	if out.Pairs.All() == 0 {
		out.Reason = c.whyNone(c.crowd(from), c.crowd(to), s)
	}
	return out, nil
}

// IsSomebody says whether an end has any address.
func (c *Census) IsSomebody(e explain.End) bool { return len(c.crowd(e).endpoints) > 0 }

// whyNone says why a question is about no packet.
func (c *Census) whyNone(from, to *crowd, s explain.Asked) string {
	for _, w := range []*crowd{from, to} {
		if len(w.endpoints) == 0 {
			return w.name + " has no address"
		}
	}
	both := func(f int) bool { return from.number(f) > 0 && to.number(f) > 0 }
	v4, v6 := len(s.Of(false)) > 0, len(s.Of(true)) > 0
	switch {
	case !v4 && !v6:
		return explain.OfDiscovery
	case !both(0) && !both(1):
		return "no pair of addresses of one family"
	case both(0) && !both(1) && !v4:
		return s.String() + " is of IPv6 only, and there is no pair of IPv6 addresses"
	case both(1) && !both(0) && !v6:
		return s.String() + " is of IPv4 only, and there is no pair of IPv4 addresses"
	}
	return "no pair at two ports, one of them an instance's"
}

// each asks about all pairs of one family.
func (c *Census) each(from, to *crowd, f int, asked explain.Services, do func(pair)) error {
	if len(asked) == 0 {
		return nil
	}
	if from.parts(f)*to.parts(f) > MostPairs {
		return &ErrTooMany{from.name, to.name}
	}
	q := c.question(f, asked)
	same := c.samePorts(from, to, f)
	one := func(a, b *class, na, nb int32) {
		if n := len(a.endpoints)*len(b.endpoints) - same[[2]int32{na, nb}]; n > 0 {
			if p := q.pair(a, b); p.from != nil {
				p.number = n
				do(p)
			}
		}
	}
	for n := range from.classes[f] {
		for m := range to.classes[f] {
			one(&from.classes[f][n], &to.classes[f][m], int32(n), int32(m))
		}
	}
	for n := range from.special[f] {
		a := &from.special[f][n]
		for _, b := range c.split(to.classes[f], a) {
			c.apart(a, &b, q, do)
		}
		for m := range to.special[f] {
			one(a, &to.special[f][m], -int32(n+1), -int32(m+1))
		}
	}
	for m := range to.special[f] {
		b := &to.special[f][m]
		for _, a := range c.split(from.classes[f], b) {
			c.apart(&a, b, q, do)
		}
	}
	return nil
}

// parts is how many classes of a family a crowd has.
func (w *crowd) parts(f int) int { return len(w.classes[f]) + len(w.special[f]) }

// apart asks about two classes that were split, one of them of one endpoint.
func (c *Census) apart(a, b *class, q *question, do func(pair)) {
	n := 0
	for _, s := range a.endpoints {
		for _, t := range b.endpoints {
			if c.endpoints[s].port != c.endpoints[t].port || c.endpoints[s].port < 0 {
				n++
			}
		}
	}
	if n == 0 {
		return
	}
	if p := q.pair(a, b); p.from != nil {
		p.number = n
		do(p)
	}
}

// samePorts counts the pairs of endpoints at one port, by the numbers of their classes: a port
// sends nothing to itself.
func (c *Census) samePorts(from, to *crowd, f int) map[[2]int32]int {
	out := map[[2]int32]int{}
	small, large, turned := from, to, false
	if len(to.endpoints) < len(from.endpoints) {
		small, large, turned = to, from, true
	}
	for _, n := range small.endpoints {
		s := &c.endpoints[n]
		if s.port < 0 || family(s.Address) != f {
			continue
		}
		span := c.ports[s.Port]
		for _, m := range append(count(span[0], span[1]), large.strange(c, s.port)...) {
			at, ok := large.classOf(m)
			if !ok || family(c.endpoints[m].Address) != f {
				continue
			}
			ours, _ := small.classOf(n)
			key := [2]int32{ours, at}
			if turned {
				key[0], key[1] = key[1], key[0]
			}
			out[key]++
		}
	}
	return out
}

// strange returns the endpoints of a port that are none of the policy's, as an end NAME@ADDRESS
// has.
func (w *crowd) strange(c *Census, port int32) []int32 {
	var out []int32
	if len(w.endpoints) > 8 {
		return nil // such an end is one address at each port of one instance
	}
	for _, n := range w.endpoints {
		if n >= c.first[len(c.first)-1] && c.endpoints[n].port == port {
			out = append(out, n)
		}
	}
	return out
}

// split parts classes where the guards may tell their hosts apart beside a special endpoint: by the
// hosts that use its MAC.
func (c *Census) split(list []class, special *class) []class {
	s := &c.endpoints[special.endpoints[0]]
	hosts := append(c.reader.HostsOfMAC(s.MAC()), s.Host, c.site.Host, "")
	for h := range c.gatesAt {
		hosts = append(hosts, h)
	}
	var out []class
	for _, l := range list {
		known := map[string]int{}
		for _, n := range l.endpoints {
			host := "elsewhere"
			if h := c.endpoints[n].Host; slices.Contains(hosts, h) {
				host = "at " + h
			}
			at, ok := known[host]
			if !ok {
				at, known[host] = len(out), len(out)
				out = append(out, class{likeness: l.likeness})
				out[at].place = l.place + " " + host
			}
			out[at].add(n, c.endpoints[n].port)
		}
	}
	return out
}
