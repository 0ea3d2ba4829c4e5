package benchfleet

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What a change costs who makes it, validated, on three members that replace each other. Bench
// calls this.

// Writers is a world on three members.
type Writers struct {
	World    world          `json:"world"`
	Leader   measure.Timing `json:"at_the_leader"`   // a change of one member, whole
	Follower measure.Timing `json:"at_a_follower"`   //
	Floor    measure.Timing `json:"raw"`             // the same rows by a raw client at the leader
	CPU      float64        `json:"writer_cpu_ms"`   // of a change, of one writer alone
	Many     int            `json:"writers"`         // at one time, one at each member
	Rate     float64        `json:"changes_per_s"`   // of all of them
	RawRate  float64        `json:"raw_per_s"`       // of one raw client at the leader
	Server   int64          `json:"server_resident"` // of the leader
}

// writing is how long the writers write at one time.
const writing = 5 * time.Second

func measureWriters(ctx context.Context, w world, changes int) (r Writers, err error) {
	r = Writers{World: w, Many: 3}
	err = measure.During(func(s *measure.Shim) error {
		members, err := newCluster(ctx, s, r.Many, defaultTimer)
		if err != nil {
			return err
		}
		if members, err = leader(ctx, members); err != nil {
			return err
		}
		var writers []*policydb.Client
		for _, m := range members {
			c, err := measure.Follow(ctx, s, m.endpoint)
			if err != nil {
				return err
			}
			writers = append(writers, c)
		}
		if err := put(ctx, writers[0], w.policy()); err != nil {
			return err
		}
		if err := r.measure(ctx, s, members, writers, changes); err != nil {
			return err
		}
		u, err := measure.UsageOf(members[0].pid())
		r.Server = u.Resident
		return err
	})
	return r, err
}

func (r *Writers) measure(ctx context.Context, s *measure.Shim, members []*server,
	writers []*policydb.Client, changes int) error {
	var one [2]measure.Series
	began := measure.Spent()
	for n := range changes {
		for at := range one {
			took, err := change(ctx, writers[at], at, n)
			if err != nil {
				return err
			}
			one[at].Add(took)
		}
	}
	// the clients are in this process: each of them follows what each has written
	r.CPU = measure.Milliseconds(measure.Spent()-began) / float64(2*changes)
	r.Leader, r.Follower = one[0].Timing(), one[1].Timing()
	if err := r.writeAtOnce(ctx, writers); err != nil {
		return err
	}
	by, err := newHand(ctx, s, members[0].endpoint)
	if err != nil {
		return err
	}
	var raw measure.Series
	start := time.Now()
	for n := range changes {
		began := time.Now()
		member, err := by.join(ctx, "bench-raw", spare(n))
		if err != nil {
			return err
		}
		raw.Add(time.Since(began))
		if err := by.leave(ctx, member); err != nil {
			return err
		}
	}
	r.Floor, r.RawRate = raw.Timing(), float64(2*changes)/time.Since(start).Seconds()
	return nil
}

// writeAtOnce has all write at one time.
func (r *Writers) writeAtOnce(ctx context.Context, writers []*policydb.Client) error {
	var made atomic.Int64
	errs := make([]error, len(writers))
	var all sync.WaitGroup
	began := time.Now()
	for at, c := range writers {
		all.Go(func() {
			for n := 0; time.Since(began) < writing && errs[at] == nil; n++ {
				if _, errs[at] = change(ctx, c, at, n); errs[at] == nil {
					made.Add(1)
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	r.Rate = float64(made.Load()) / time.Since(began).Seconds()
	return nil
}

// change has the member of a writer come, and go the next time.
func change(ctx context.Context, c *policydb.Client, writer, n int) (time.Duration, error) {
	name := fmt.Sprintf("bench-%d", writer)
	began := time.Now()
	_, err := c.Change(ctx, aChange(), func(now *policy.Policy) (*policy.Policy, string, error) {
		next := *now
		at := slices.IndexFunc(now.Instances, func(i *policy.Instance) bool { return i.Name == name })
		if at >= 0 {
			next.Instances = slices.Delete(slices.Clone(now.Instances), at, at+1)
			return &next, "a member goes", nil
		}
		next.Instances = append(slices.Clone(now.Instances), newMember(name, writer, n,
			now.Groups[0].Name))
		return &next, "a member comes", nil
	})
	return time.Since(began), err
}

func newMember(name string, writer, n int, group string) *policy.Instance {
	address := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 251, byte(writer), byte(n)}), 32)
	return &policy.Instance{Name: name, Host: "elsewhere", Groups: []string{group},
		Ports: []policy.Port{{Name: name, MAC: policy.MAC{2, 0xfe, 0, 0, byte(writer), byte(n)},
			Addresses: []netip.Prefix{address}}}}
}
