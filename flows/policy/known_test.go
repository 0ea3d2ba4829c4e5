package policy_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What is said to be valid for certain is valid, along random sequences of policies; and single
// changes that are valid are mostly known to be.
func TestKnownIsNeverWrong(t *testing.T) {
	asked, sure := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.DrawWorld(t).Policy
		for n, i := range p.Instances {
			one := *i
			one.Host = "h"
			p.Instances[n] = &one
		}
		if len(policy.Validate(p)) > 0 {
			return
		}
		var known policy.Known
		require.False(t, known.IsValid(p), "nothing is known")
		known.Learn(p)
		for range 8 {
			next := policy.Share(p, broken(t, policytest.DrawSuccessor(t, p)))
			isValid := len(policy.Validate(next)) == 0
			if known.IsValid(next) {
				require.True(t, isValid, "%v", policy.Validate(next))
				sure++
			}
			if !isValid {
				continue
			}
			asked++
			known.Learn(next)
			p = next
		}
	})
	t.Logf("%d of %d valid ones were known to be", sure, asked)
	require.Greater(t, 3*sure, asked)
}

// broken makes one of the mistakes that only several objects together show.
func broken(t *rapid.T, p *policy.Policy) *policy.Policy {
	if len(p.Instances) < 2 || rapid.Bool().Draw(t, "whole") {
		return p
	}
	at := rapid.IntRange(1, len(p.Instances)-1).Draw(t, "at")
	a, b := p.Instances[at-1], p.Instances[at]
	one := *b
	one.Ports = append([]policy.Port(nil), b.Ports...)
	port := &one.Ports[0]
	switch rapid.IntRange(0, 8).Draw(t, "mistake") {
	case 0:
		port.MAC = a.Ports[0].MAC
	case 1:
		port.Addresses = a.Ports[0].Addresses
	case 2:
		port.Name = a.Ports[0].Name
	case 3:
		one.Name = a.Name
	case 4:
		port.Allowed = append(port.Allowed, policy.AllowedAddress{
			Prefix: policytest.Nets("10.0.0.9")[0], MAC: a.Ports[0].MAC})
	case 5:
		port.MAC = policy.MAC{0, 0, 0x5e, 0, 1, 5} // that others may use
	case 6:
		one.Groups = []string{"nobody"}
	case 7:
		port.Addresses = policytest.Nets("10.0.0.0/29")
	case 8:
		if port.IfaceID = "same"; len(p.Groups) > 2 {
			p.Groups = p.Groups[1:]
		}
	}
	p.Instances[at] = &one
	return p
}

// What is known follows a large policy at the cost of what differs.
func BenchmarkKnown(b *testing.B) {
	p := policytest.Fleet(policytest.FleetSize{Groups: 100, Rules: 6, Instances: 10_200,
		Local: 200}).Policy
	var known policy.Known
	known.Learn(p)
	n := 0
	for b.Loop() {
		n++
		next := *p
		next.Instances = append([]*policy.Instance(nil), p.Instances...)
		one := *next.Instances[n%10_200]
		one.Groups = []string{fmt.Sprintf("group-%03d", n%100)}
		next.Instances[n%10_200] = &one
		require.True(b, known.IsValid(&next))
		known.Learn(&next)
		p = &next
	}
}
