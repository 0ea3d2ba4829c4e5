package census_test

import (
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/flows/census"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What a question costs where 50,000 instances are in 500 groups of 10 rules.
func BenchmarkCensus(b *testing.B) {
	r := explain.Read(policytest.Fleet(policytest.LargeFleet))
	end := func(name string) explain.End {
		e, err := r.FindEnd(name)
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	b.Run("everybody is counted", func(b *testing.B) {
		for b.Loop() {
			census.New(r, nil)
		}
	})
	c := census.New(r, nil)
	http, _ := explain.ParseAsked("http")
	all, _ := explain.ParseAsked("any")
	instance := r.World().Policy.Instances[77].Name
	for _, q := range []struct {
		name, from, to string
		asked          explain.Asked
	}{{"group to group", "group-%03d", "group-%03d", http}, {"outside to group", "outside", "group-%03d", http},
		{"any to instance", "any", instance, http}, {"group to group, any service", "group-%03d", "group-%03d", all},
		{"any to group", "any", "group-%03d", http}} {
		b.Run(q.name, func(b *testing.B) {
			n := 0
			word := func(s string, n int) string {
				if s == "group-%03d" {
					return fmt.Sprintf(s, n%500)
				}
				return s
			}
			for b.Loop() {
				_, err := c.Ask(end(word(q.from, n)), end(word(q.to, n+1)), q.asked)
				if n++; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("others", func(b *testing.B) {
		list := []census.Entry{{Who: end("group-001"), Service: http}}
		for b.Loop() {
			if _, err := c.Others(end(instance), policy.Ingress, list, [2]bool{true, true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
