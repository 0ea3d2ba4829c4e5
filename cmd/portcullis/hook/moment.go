package hook

import (
	"fmt"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
)

// What happens to a machine, as edits of the policy; what starts machines says when (hook.go).
// Invariant: at no moment of a live move is the machine in the policy of neither host.

// moment is what happens to a machine.
type moment uint8

// The zero moment is one that means nothing here.
const (
	nothing moment = iota
	starts         // its device is about to be made, here
	runs           // it has been running here for a while
	arrives        // it is about to come from another host, where it runs
	awaited        // the same, and somebody will say that it has arrived
	arrived        // it runs here now, and no longer where it came from
	ends           // its device has gone, here
)

func (m moment) String() string {
	return [...]string{"nothing", "starts", "runs", "arrives", "is awaited", "has arrived", "ends"}[m]
}

// elsewhere stands for the host that a machine comes from where the policy is files: those have
// this host's machines only, and who announces the machine does not say from where.
const elsewhere = "elsewhere"

// edit is what a moment changes at a host.
func (m moment) edit(i policy.Instance, host string) edit.Edit {
	switch m {
	case runs:
		return runsAt(i, host)
	case arrives, awaited:
		return arrivesAt(i, host)
	case arrived:
		return arrivedAt(i.Name, host)
	case ends:
		return endsAt(i, host)
	}
	return startsAt(i, host)
}

// inFiles is edit where the policy is files of this host.
func (m moment) inFiles(i policy.Instance, host string) edit.Edit {
	if m == awaited {
		return awaitedAt(i, host)
	}
	return m.edit(i, host)
}

// startsAt puts an instance onto a host. One that runs elsewhere, says the policy, does not start.
func startsAt(i policy.Instance, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		stands := p.Instance(i.Name)
		i.Host = host
		switch {
		case stands == nil:
		case stands.MigratingTo == host:
			return p, nil // it arrives
		case stands.Host == host || stands.Host == "":
			i.Host, i.MigratingTo = stands.Host, stands.MigratingTo
		case stands.Host != policy.Nowhere:
			return nil, fmt.Errorf("instance %q: the policy has it on %q, not on %q; if it does not run "+
				"there any more: portcullis instance move %[1]s --to %[3]s", i.Name, stands.Host, host)
		}
		return edit.PutInstance(i)(p)
	}
}

// runsAt is startsAt of a machine whose arrival nobody has told of.
func runsAt(i policy.Instance, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		next, err := arrivedAt(i.Name, host)(p)
		if err != nil {
			return nil, err
		}
		return startsAt(i, host)(next)
	}
}

// arrivesAt has an instance that runs on another host be on this one, too.
func arrivesAt(i policy.Instance, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		stands := p.Instance(i.Name)
		if stands == nil || stands.IsLocal(host) || stands.Host == policy.Nowhere {
			return startsAt(i, host)(p)
		}
		return edit.Migrate(i.Name, host)(p)
	}
}

// awaitedAt is arrivesAt where the other host has files of its own: until the machine has arrived,
// those of this host find it behind the uplinks, and it may speak from there.
func awaitedAt(i policy.Instance, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		if stands := p.Instance(i.Name); stands != nil && (stands.MigratingTo != "" ||
			stands.Host != "" && stands.Host != policy.Nowhere && stands.Host != host) {
			return arrivesAt(i, host)(p)
		}
		i.Host, i.MigratingTo = elsewhere, host
		return edit.PutInstance(i)(p)
	}
}

// arrivedAt ends a move to a host.
func arrivedAt(name, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		if stands := p.Instance(name); stands == nil || stands.MigratingTo != host {
			return p, nil // the other host was quicker
		}
		return edit.Finish(name)(p)
	}
}

// endsAt takes an instance off a host: away, or, where it has moved, to where it is now.
func endsAt(i policy.Instance, host string) edit.Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		switch stands := p.Instance(i.Name); {
		case stands == nil:
			return p, nil
		case stands.MigratingTo == host && stands.Host == elsewhere:
			return edit.RemoveInstance(i.Name)(p)
		case stands.MigratingTo == host:
			return edit.Abort(i.Name)(p)
		case stands.Host == host && stands.MigratingTo != "":
			return edit.Finish(i.Name)(p)
		case stands.Host == host || stands.Host == "" || stands.Host == policy.Nowhere:
			return edit.RemoveInstance(i.Name)(p)
		}
		return p, nil // it is another host's
	}
}
