package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// topText is counts for people: rules by what they have done since the counts before, else by what they have done at all; the same of ports.
func topText(before, now *api.Counts, rows int) string {
	var b bytes.Buffer
	b.WriteString(topHead(now))
	r := newRates(before, now)
	r.rules(&b, now.Rules, rows)
	r.ports(&b, now.Ports, rows)
	return b.String()
}

// rates are what was counted between two looks.
type rates struct {
	isKnown bool
	seconds float64
	before  map[string]uint64
}

func newRates(before, now *api.Counts) rates {
	r := rates{before: map[string]uint64{}}
	if before == nil || !before.Since.Equal(now.Since) {
		return r // or of another run of the daemon
	}
	r.seconds = now.At.Sub(before.At).Round(time.Millisecond).Seconds()
	r.isKnown = r.seconds > 0
	for _, rule := range before.Rules {
		r.before[ruleKey(rule)] = rule.Admitted.Packets
	}
	for _, p := range before.Ports {
		r.before[portKey(p)] = deniedOf(p)
	}
	return r
}

func ruleKey(r telemetry.RuleCount) string { return "rule " + strconv.Itoa(int(r.ID)) }
func portKey(p telemetry.PortCount) string { return "port " + p.Port }

func deniedOf(p telemetry.PortCount) uint64 {
	return p.Ingress.Denied.Packets + p.Egress.Denied.Packets
}

// of is how many packets a second were counted under a key that has a total now.
func (r rates) of(key string, total uint64) float64 {
	if !r.isKnown || total < r.before[key] {
		return 0
	}
	return float64(total-r.before[key]) / r.seconds
}

// text is a rate, "-" where none is known.
func (r rates) text(key string, total uint64) string {
	if !r.isKnown {
		return "-"
	}
	return strconv.FormatFloat(r.of(key, total), 'f', 1, 64)
}

func (r rates) rules(w io.Writer, rules []telemetry.RuleCount, rows int) {
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, b telemetry.RuleCount) int {
		return cmp.Compare(r.of(ruleKey(b), b.Admitted.Packets), r.of(ruleKey(a), a.Admitted.Packets))
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nADMITTED\tPER SECOND\tBYTES\tRULE")
	for _, rule := range rules[:min(rows, len(rules))] {
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\n", rule.Admitted.Packets, r.text(ruleKey(rule), rule.Admitted.Packets), rule.Admitted.Bytes, ruleText(rule))
	}
	_ = t.Flush() // of a buffer
	tellRest(w, len(rules)-rows, "rules")
}

func ruleText(r telemetry.RuleCount) string {
	if r.Group == "" {
		return r.Rule
	}
	return fmt.Sprintf("%s: %s (%s)", r.Group, r.Rule, r.At)
}

func (r rates) ports(w io.Writer, ports []telemetry.PortCount, rows int) {
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports, func(a, b telemetry.PortCount) int {
		return cmp.Or(cmp.Compare(r.of(portKey(b), deniedOf(b)), r.of(portKey(a), deniedOf(a))), cmp.Compare(deniedOf(b), deniedOf(a)))
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nPORT\tINSTANCE\tDENIED IN\tDENIED OUT\tPER SECOND\tESTABLISHED IN\tESTABLISHED OUT\tCONNECTIONS")
	for _, p := range ports[:min(rows, len(ports))] {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%d\t%d\t%s\n", p.Port, p.Instance, p.Ingress.Denied.Packets, p.Egress.Denied.Packets,
			r.text(portKey(p), deniedOf(p)), p.Ingress.Established.Packets, p.Egress.Established.Packets, fillText(p.Zone))
	}
	_ = t.Flush()
	tellRest(w, len(ports)-rows, "ports")
}

func fillText(f *telemetry.ConnectionFill) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", f.Known, f.Limit)
}

func tellRest(w io.Writer, rest int, of string) {
	if rest > 0 {
		fmt.Fprintf(w, "and %d more %s: --rows, or -o json\n", rest, of)
	}
}
