package live

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// Which rules and ports top is asked about.

// topFilter says which counts are asked for; the zero topFilter: all.
type topFilter struct{ port, group, peer, protocol string }

// apply leaves out of the counts what is not asked for.
func (t topFilter) apply(ctx context.Context, client *api.Client, counts *api.Counts) error {
	if t == (topFilter{}) {
		return nil
	}
	counts.Rules = slices.DeleteFunc(counts.Rules, func(r telemetry.RuleCount) bool {
		return !t.wantsRule(r)
	})
	ofGroup := map[string]bool{}
	if t.group != "" {
		status, err := client.Status(ctx)
		if err != nil {
			return fmt.Errorf("ask which ports are of group %q: %w", t.group, err)
		}
		for _, p := range status.Ports {
			ofGroup[p.Name] = slices.Contains(p.Groups, t.group)
		}
	}
	counts.Ports = slices.DeleteFunc(counts.Ports, func(p telemetry.PortCount) bool {
		return t.port != "" && p.Port != t.port || t.group != "" && !ofGroup[p.Port]
	})
	return nil
}

// wantsRule reads a rule's words: "ingress tcp 80 from group web", "egress any to 0.0.0.0/0".
func (t topFilter) wantsRule(r telemetry.RuleCount) bool {
	head, peer, isRule := strings.Cut(r.Rule, " from ")
	if !isRule {
		head, peer, isRule = strings.Cut(r.Rule, " to ")
	}
	words := strings.Fields(head)
	switch {
	case t.group != "" && r.Group != t.group:
		return false
	case t.protocol != "" && (!isRule || len(words) < 2 || !strings.EqualFold(words[1], t.protocol)):
		return false
	}
	return t.peer == "" || isRule && isPeer(peer, t.peer)
}

// isPeer says whether one of a rule's peers is the one that is asked for: "10.0.0.0/8, group web".
func isPeer(words, asked string) bool {
	for word := range strings.SplitSeq(words, ", ") {
		name, isName := strings.CutPrefix(word, "group ")
		if !isName {
			name, isName = strings.CutPrefix(word, "network ")
		}
		if isName && name == asked || !isName && isInside(word, asked) {
			return true
		}
	}
	return false
}

// isInside says whether a network is the one that is asked for, or has the address.
func isInside(words, asked string) bool {
	network, err := netip.ParsePrefix(words)
	if err != nil {
		return words == asked
	}
	if a, err := netip.ParseAddr(asked); err == nil {
		return network.Contains(a)
	}
	n, err := netip.ParsePrefix(asked)
	return err == nil && network.Masked() == n.Masked()
}
