package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/ofctl"
	"github.com/portcullis/portcullis/controller/ovstrace"
	"github.com/portcullis/portcullis/flows/policy"
)

// liveAnswer is what the switch says beside the policy.
type liveAnswer struct {
	Agrees bool        `json:"agrees"`
	Checks []liveCheck `json:"checks"` // one for each pair of addresses with an end at this host
}

// liveCheck is one packet, as the policy decides about it at this host, and as the switch does.
type liveCheck struct {
	From   policy.Point `json:"from"`
	To     policy.Point `json:"to"`
	Packet string       `json:"packet"` // as ofproto/trace takes it
	Policy []string     `json:"policy"` // the ports that it is sent out of; none = dropped
	Switch []string     `json:"switch"`
	Last   string       `json:"last_flow"` // that it met in the switch
	Agrees bool         `json:"agrees"`
}

// differs says whether the switch does something else than the policy.
func (l *liveAnswer) differs() bool { return l != nil && !l.Agrees }

// errNotHere says that there is nothing to ask this host's switch.
var errNotHere = errors.New("--live: neither end is at a port of this host; ask on the host of one of them")

// askSwitch runs the packet of each pair of addresses through this host's switch.
func askSwitch(ctx context.Context, in loaded, w policy.World, e policy.Explanation, s policy.Service) (*liveAnswer, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	sw := ofctl.New(ofctl.Options{Target: in.settings.OpenFlow, DatapathType: in.settings.DatapathType})
	bridge, err := ovstrace.Open(ctx, func(ctx context.Context, args ...string) (string, error) {
		out, err := sw.Control(ctx, args...)
		return string(out), err
	}, in.settings.Bridge)
	if err != nil {
		return nil, fmt.Errorf("--live: %w", err)
	}
	l := lab{bridge: bridge, numbers: bridge.Ports(), uplinks: in.settings.Uplinks, world: w}
	answer := &liveAnswer{Agrees: true}
	for _, r := range e.Routes {
		for _, pair := range r.Pairs {
			p, here := w.Opening(pair, s)
			if !here {
				continue
			}
			check, err := l.check(ctx, pair, p)
			if err != nil {
				return nil, fmt.Errorf("--live: %w", err)
			}
			answer.Checks = append(answer.Checks, check)
			answer.Agrees = answer.Agrees && check.Agrees
		}
	}
	if len(answer.Checks) == 0 {
		return nil, errNotHere
	}
	return answer, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, askTimeout)
}

// lab is a bridge to try packets on.
type lab struct {
	bridge  *ovstrace.Bridge
	numbers map[string]uint32 // OpenFlow numbers by name
	uplinks []string
	world   policy.World
}

func (l lab) check(ctx context.Context, pair policy.Pair, p policy.Packet) (liveCheck, error) {
	c := liveCheck{From: pair.From, To: pair.To, Policy: []string{}, Switch: []string{}}
	in, err := l.entrance(p)
	if err != nil {
		return c, err
	}
	c.Packet = ovstrace.Spec(in, 0, p)
	d := policy.Decide(l.world, p)
	for _, name := range d.Ports {
		if _, here := l.numbers[name]; here {
			c.Policy = append(c.Policy, name)
		}
	}
	if d.Uplink {
		c.Policy = append(c.Policy, l.present()...)
	}
	got, err := l.bridge.Trace(ctx, c.Packet)
	if err != nil && !errors.Is(err, ovstrace.ErrUntranslated) {
		return c, err
	}
	c.Switch, c.Last = l.names(got), got.Last()
	slices.Sort(c.Policy)
	slices.Sort(c.Switch)
	c.Agrees = slices.Equal(c.Policy, c.Switch)
	return c, nil
}

// entrance returns the number of the port by which a packet enters.
func (l lab) entrance(p policy.Packet) (uint32, error) {
	names := []string{p.From}
	if p.FromUplink {
		names = l.uplinks
	}
	for _, name := range names {
		if n, ok := l.numbers[name]; ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the packet enters by %s, which the bridge does not have", orElse(strings.Join(names, " or "), "an uplink"))
}

// present returns the uplinks that the bridge has.
func (l lab) present() []string {
	return slices.DeleteFunc(slices.Clone(l.uplinks), func(name string) bool { _, ok := l.numbers[name]; return !ok })
}

// names returns the ports that a packet is sent out of. One that leaves through a patch port leaves by the uplink that the patch is.
func (l lab) names(r ovstrace.Result) []string {
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
func (p *page) live(l *liveAnswer) {
	if l == nil {
		return
	}
	p.line("")
	if l.Agrees {
		p.line("the switch agrees: %d packets traced", len(l.Checks))
		return
	}
	p.line("%s: the switch does something else than the policy says", p.verdict("DIFFERS"))
	for _, c := range l.Checks {
		if c.Agrees {
			continue
		}
		p.line("%s → %s", c.From, c.To)
		p.line("  the policy:  %s", sentTo(c.Policy))
		p.line("  the switch:  %s", sentTo(c.Switch))
		p.line("  last flow:   %s", c.Last)
		p.line("  packet:      %s", c.Packet)
	}
	p.line("Is the policy in force? Ask 'portcullis status' and 'portcullis plan'.")
}

func sentTo(ports []string) string {
	if len(ports) == 0 {
		return "dropped"
	}
	return "sent out of " + strings.Join(ports, ", ")
}
