package census

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Why it is so: pairs that are judged alike, with one of them explained.

// Kind is some pairs of the same verdict for the same reason, as far as reasons are told apart.
type Kind struct {
	Verdict  explain.Outcome  `json:"verdict"`
	Family   string           `json:"family"` // IPv4 or IPv6
	Pairs    int              `json:"pairs"`
	Services explain.Services `json:"services"` // that pass of the question
	From     Crowd            `json:"from"`
	To       Crowd            `json:"to"`
	Example  explain.Route    `json:"example"` // of one pair
}

// Crowd is some of the endpoints of an end.
type Crowd struct {
	Instances int      `json:"instances"`           // how many
	Names     []string `json:"names,omitempty"`     // of the first of them
	Networks  []string `json:"networks,omitempty"`  // the first of those outside
	Elsewhere int      `json:"elsewhere,omitempty"` // how many of those there are
}

// mostNames is how many instances, or networks, of a crowd are named.
const mostNames = 8

// String lists the names, and says how many there are beside.
func (w Crowd) String() string {
	list := func(names []string, all int, what string) string {
		out := strings.Join(names, ", ")
		if all > len(names) {
			out += " and " + wording.Count(all-len(names), what)
		}
		return out
	}
	var out []string
	if w.Instances > 0 {
		out = append(out, list(w.Names, w.Instances, "more instance"))
	}
	if w.Elsewhere > 0 {
		out = append(out, list(w.Networks, w.Elsewhere, "more network"))
	}
	return strings.Join(out, ", ")
}

// MostKinds is how many kinds of one answer are told.
const MostKinds = 12

// mostExplained is how many pairs of classes are told apart by their reasons; of more it is told
// only which end denies.
const mostExplained = 40

// Explain says why an answer is as it is: of the verdicts that are asked for, or all. The
// error is an [*ErrTooMany].
func (c *Census) Explain(from, to explain.End, s explain.Asked,
	verdicts ...explain.Outcome) ([]Kind, error) {
	var out []Kind
	for f := range whole {
		g := grouping{c: c, at: map[string]int{}}
		err := c.each(c.crowd(from), c.crowd(to), f, s.Of(f == 1), func(p pair) {
			if len(verdicts) == 0 || slices.Contains(verdicts, p.verdict) {
				g.add(p)
			}
		})
		if err != nil {
			return nil, err
		}
		out = append(out, g.kinds()...)
	}
	slices.SortStableFunc(out, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(b.Pairs, a.Pairs))
	})
	return out[:min(len(out), MostKinds)], nil
}

// grouping puts pairs of classes together that are judged alike.
type grouping struct {
	c     *Census
	pairs []pair // that wait until it is known how many there are
	at    map[string]int
	list  []*gathered
	// isCoarse = there are too many to tell them apart by their reasons
	isCoarse bool
}

// gathered is a kind that is being put together.
type gathered struct {
	Kind
	from, to names
}

func (g *grouping) add(p pair) {
	switch {
	case g.isCoarse:
		g.put(p)
	case len(g.pairs) < mostExplained:
		g.pairs = append(g.pairs, p)
	default:
		g.isCoarse = true
		g.flush()
		g.put(p)
	}
}

func (g *grouping) flush() {
	for _, p := range g.pairs {
		g.put(p)
	}
	g.pairs = nil
}

func (g *grouping) kinds() []Kind {
	g.flush()
	out := make([]Kind, 0, len(g.list))
	for _, k := range g.list {
		k.From, k.To = k.from.crowd(g.c), k.to.crowd(g.c)
		out = append(out, k.Kind)
	}
	return out
}

// put adds a pair to its kind.
func (g *grouping) put(p pair) {
	key, route := g.key(p)
	n, known := g.at[key]
	if !known {
		n = len(g.list)
		g.at[key] = n
		if route == nil {
			r := g.c.route(p)
			route = &r
		}
		family := "IPv4"
		if p.family == 1 {
			family = "IPv6"
		}
		g.list = append(g.list, &gathered{Kind: Kind{Verdict: p.verdict, Family: family,
			Services: p.passes, Example: *route}, from: names{}, to: names{}})
	}
	k := g.list[n]
	k.Pairs += p.number
	k.from.add(p.from)
	k.to.add(p.to)
}

// key is the same of pairs of one kind. Where there are few of them, they are told apart by the
// rules that decide; the route is that of a pair of them then.
func (g *grouping) key(p pair) (string, *explain.Route) {
	ends := map[bool]string{true: " outside"}
	key := p.verdict.String() + "|" + p.denies + "|" + p.passes.String() + "|" + p.guard.String() + "|" +
		ends[p.from.isOutside] + "|" + ends[p.to.isOutside]
	if g.isCoarse {
		return key, nil
	}
	r := g.c.route(p)
	key += "|" + r.Guard
	for _, j := range []*explain.Judgement{r.Egress, r.Ingress} {
		if j == nil {
			continue
		}
		key += "|" + j.Verdict.String()
		for _, a := range j.Rules {
			key += "|" + a.Named.String()
		}
		for _, n := range j.Nearest {
			key += "|" + n.Named.String()
		}
	}
	return key, &r
}

// route explains one pair of endpoints.
func (c *Census) route(p pair) explain.Route {
	from, to := c.sample(p.from, p.to)
	return c.reader.Route(from, to, explain.AskSet(p.asked), c.via...)
}

// names are classes that are to be named.
type names map[*class]bool

func (n names) add(l *class) { n[l] = true }

// crowd names the first instances and networks of some classes, in the order of the policy.
func (n names) crowd(c *Census) Crowd {
	var endpoints []int32
	for l := range n {
		endpoints = append(endpoints, l.endpoints...)
	}
	slices.Sort(endpoints)
	var out Crowd
	seen := map[string]bool{}
	for _, at := range slices.Compact(endpoints) {
		s := &c.endpoints[at]
		switch {
		case s.Instance == "":
			if out.Elsewhere++; len(out.Networks) < mostNames {
				out.Networks = append(out.Networks, s.Place())
			}
		case !seen[s.Instance]:
			seen[s.Instance] = true
			if out.Instances++; len(out.Names) < mostNames {
				out.Names = append(out.Names, s.Instance)
			}
		}
	}
	slices.SortStableFunc(out.Networks, compareNetworks)
	return out
}

// compareNetworks orders texts of addresses and networks.
func compareNetworks(a, b string) int {
	read := func(s string) netip.Prefix {
		if n, err := netip.ParsePrefix(s); err == nil {
			return n
		}
		addr, _ := netip.ParseAddr(s)
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	return policy.ComparePrefix(read(a), read(b))
}

// Answered is one question with its kinds, for who asks no other; only is as for
// [explain.Reader.Explain].
func Answered(r explain.Reader, from, to explain.End, s explain.Asked, only ...string) (*Answer,
	error) {
	c := New(r, []explain.End{from, to}, only...)
	out, err := c.Ask(from, to, s)
	if err != nil {
		return nil, err
	}
	out.Kinds, err = c.Explain(from, to, s)
	return out, err
}
