package ask

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// The flag --live of explain: the frames of an answer, run through the switch.

// liveAnswer is what the switch says beside the policy.
type liveAnswer struct {
	Agrees bool `json:"agrees"`
	// one for each frame that enters this host's switch, and for each uplink if it enters there
	Checks []liveCheck `json:"checks"`
	// NotTraced are frames that enter by what the bridge does not have.
	NotTraced []string `json:"not_traced,omitempty"`
}

// liveCheck is one packet, as the policy decides about it at this host, and as the switch does.
type liveCheck struct {
	From   explain.Point `json:"from"`
	To     explain.Point `json:"to"`
	What   string        `json:"what"`   // the way that it takes, or what it is in a conversation
	Enters string        `json:"enters"` // the port or uplink
	Packet string        `json:"packet"` // as ofproto/trace takes it
	Policy []string      `json:"policy"` // the ports that it is sent out of; none = dropped
	Switch []string      `json:"switch"`
	Last   string        `json:"last_flow"` // that it met in the switch
	Agrees bool          `json:"agrees"`
}

// differs says whether the switch does something else than the policy.
func (l *liveAnswer) differs() bool { return l != nil && !l.Agrees }

// errNotHere says that there is nothing to ask this host's switch.
var errNotHere = errors.New("--live: neither end is at a port of this host; ask on the host of " +
	"one of them")

// askSwitch runs the frames of an explanation that enter this host's switch through it.
func askSwitch(ctx context.Context, limit cli.Timeout, s config.Settings, w spec.World,
	e explain.Explanation) (*liveAnswer, error) {
	ctx, cancel := limit.Begin(ctx, "the switch")
	defer cancel()
	sw := ofswitch.New(ofswitch.Options{Target: s.OpenFlow, DatapathType: s.DatapathType})
	bridge, err := ofswitch.OpenTracer(ctx, sw.Control, s.Bridge)
	if err != nil {
		return nil, fmt.Errorf("--live: %w", err)
	}
	l := lab{bridge: bridge, numbers: bridge.Ports(), uplinks: s.Uplinks, world: w}
	return l.answer(ctx, e)
}

const (
	// traceTime bounds how long the switch is asked for somebody who is not at this host, and
	// mostTraced how many packets are run through it for one question.
	traceTime  = cli.Timeout(4 * time.Second)
	mostTraced = 64
)

// Tracer answers questions by the switch of this host; the daemon calls it for those who ask from
// elsewhere.
func Tracer(s config.Settings) api.Tracer {
	return func(ctx context.Context, r explain.Reader, site policy.Site,
		asked api.Question) ([]byte, bool, error) {
		q := explainOptions{from: asked.From, to: asked.To, via: asked.Via, live: true, out: term.JSON}
		if err := q.read(strings.Fields(asked.Service)); err != nil {
			return nil, false, err
		}
		from, to, err := q.ends(r)
		if err != nil {
			return nil, false, err
		}
		if q.isAboutMany(from, to) || from.Any || to.Any {
			return nil, false, errors.New("live: needs two ends that are an instance, a port or an address")
		}
		e := q.explain(r, from, to)
		if n := len(framesOf(e)); n > mostTraced {
			return nil, false, fmt.Errorf("live: these are %d packets, and at most %d are traced: name "+
				"addresses, such as NAME@ADDRESS", n, mostTraced)
		}
		live, err := askSwitch(ctx, traceTime, s, spec.World{Policy: r.Policy(), Site: site}, e)
		switch {
		case errors.Is(err, errNotHere):
			return nil, false, api.ErrNotHere
		case err != nil:
			return nil, false, fmt.Errorf("%w: %w", api.ErrSwitch, err)
		}
		text, err := json.Marshal(live)
		return text, live.Agrees, err
	}
}

// answer runs the frames of an explanation that enter at this host through the switch.
func (l lab) answer(ctx context.Context, e explain.Explanation) (*liveAnswer, error) {
	answer := &liveAnswer{Agrees: true}
	for _, f := range framesOf(e) {
		if f.hop.Host != l.world.Site.Host {
			continue
		}
		entrances := l.entrances(f.hop.Packet)
		if len(entrances) == 0 {
			answer.NotTraced = append(answer.NotTraced,
				f.what+": enters by "+l.entranceText(f.hop.Packet)+", which the bridge does "+
					"not have")
		}
		for _, enters := range entrances {
			c, err := l.check(ctx, f, enters)
			if err != nil {
				return nil, fmt.Errorf("--live: %w", err)
			}
			answer.Checks = append(answer.Checks, c)
			answer.Agrees = answer.Agrees && c.Agrees
		}
	}
	switch {
	case len(answer.Checks) == 0 && len(answer.NotTraced) > 0:
		return nil, fmt.Errorf("--live: %s", answer.NotTraced[0])
	case len(answer.Checks) == 0:
		return nil, errNotHere
	}
	return answer, nil
}

// frame is a frame of an explanation, and what it is there.
type frame struct {
	pair explain.Pair
	what string
	hop  explain.Hop
}

// framesOf returns the frames of an explanation, each once: several ways may begin alike.
func framesOf(e explain.Explanation) []frame {
	var out []frame
	add := func(pair explain.Pair, what string, h explain.Hop) {
		same := func(f frame) bool {
			return f.hop.Host == h.Host && reflect.DeepEqual(f.hop.Packet, h.Packet)
		}
		if n := slices.IndexFunc(out, same); n >= 0 {
			return
		}
		out = append(out, frame{pair, what, h})
	}
	for _, r := range e.Routes {
		for _, pair := range r.Pairs {
			for _, f := range pair.Frames {
				add(pair, f.What, f.Hop)
			}
			for _, s := range r.DHCP {
				add(pair, s.What, s.Hop)
			}
		}
	}
	for _, x := range e.Exchanges {
		for _, s := range x.Steps {
			add(explain.Pair{From: x.From}, s.What, s.Hop)
		}
	}
	return out
}

// lab is a bridge to try packets on.
type lab struct {
	bridge  *ofswitch.Tracer
	numbers map[string]uint32 // OpenFlow numbers by name
	uplinks []string
	world   spec.World
}

// check runs a frame through the switch, by one port.
func (l lab) check(ctx context.Context, f frame, enters string) (liveCheck, error) {
	c := liveCheck{From: f.pair.From, To: f.pair.To, What: f.what, Enters: enters,
		Policy: []string{}}
	d := spec.Decide(l.world, f.hop.Packet)
	for _, name := range d.Ports {
		if _, here := l.numbers[name]; here {
			c.Policy = append(c.Policy, name)
		}
	}
	if d.Uplink {
		c.Policy = append(c.Policy, l.present()...)
	}
	c.Packet = ofswitch.TraceSpec(l.numbers[enters], 0, f.hop.Packet)
	got, err := l.bridge.Trace(ctx, c.Packet)
	if err != nil && !errors.Is(err, ofswitch.ErrUntranslated) {
		return c, err
	}
	c.Switch, c.Last = l.names(got), got.Last()
	slices.Sort(c.Policy)
	slices.Sort(c.Switch)
	c.Agrees = slices.Equal(c.Policy, c.Switch)
	return c, nil
}

// entrances returns the ports by which a packet may enter: its own, or each uplink, as far as the
// bridge has them.
func (l lab) entrances(p spec.Packet) []string {
	if p.FromUplink {
		return l.present()
	}
	if _, here := l.numbers[p.From]; !here {
		return nil
	}
	return []string{p.From}
}

func (l lab) entranceText(p spec.Packet) string {
	if p.FromUplink {
		return cmp.Or(strings.Join(l.uplinks, " or "), "an uplink")
	}
	return p.From
}

// present returns the uplinks that the bridge has.
func (l lab) present() []string {
	return slices.DeleteFunc(slices.Clone(l.uplinks),
		func(name string) bool { _, ok := l.numbers[name]; return !ok })
}

// names returns the ports that a packet is sent out of. One that leaves through a patch port leaves
// by the uplink that the patch is.
func (l lab) names(r ofswitch.TraceResult) []string {
	names := []string{}
	for name, number := range l.numbers {
		if slices.Contains(r.Outputs, number) {
			names = append(names, name)
		}
	}
	if r.Elsewhere {
		for _, name := range l.present() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// live prints what the switch says.
func (p page) live(l *liveAnswer) {
	if l == nil {
		return
	}
	p.Line("")
	for _, text := range l.NotTraced {
		p.Line("not traced: %s", text)
	}
	if l.Agrees {
		p.Line("the switch agrees: %s traced", term.Count(len(l.Checks), "packet", "packets"))
		for _, c := range l.Checks {
			p.Line("  %s, entering by %s, %s: %s", c.What, c.Enters, macsOf(c.Packet),
				sentTo(c.Switch))
		}
		return
	}
	p.Line("%s: the switch does something else than the policy says", p.verdict("DIFFERS"))
	for _, c := range l.Checks {
		if c.Agrees {
			continue
		}
		p.Line("%s", strings.TrimSuffix(strings.TrimSpace(c.From.String()+" → "+c.To.String()),
			" →"))
		p.Line("  frame:       %s, entering by %s", c.What, c.Enters)
		p.Line("  the policy:  %s", sentTo(c.Policy))
		p.Line("  the switch:  %s", sentTo(c.Switch))
		p.Line("  last flow:   %s", c.Last)
		p.Line("  packet:      %s", c.Packet)
	}
	p.Line("Is the policy in force? Ask 'portcullis status' and 'portcullis plan'.")
}

// macsOf returns the MACs of a packet as ofproto/trace takes it.
func macsOf(packet string) string {
	var from, to string
	for _, field := range strings.Split(packet, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "dl_src":
			from = value
		case "dl_dst":
			to = value
		}
	}
	return from + " → " + to
}

func sentTo(ports []string) string {
	if len(ports) == 0 {
		return "dropped"
	}
	return "sent out of " + strings.Join(ports, ", ")
}
