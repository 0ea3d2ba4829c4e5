package edit

import (
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Edits of where instances run. Hosts are no objects of a policy: a host is a name that instances
// have. A move that is live has three steps: begun, both hosts filter; finished or aborted, one
// does.

// Hosts returns the instances of each host, those that move in on both; those that have none are
// under "".
func Hosts(p *policy.Policy) map[string][]*policy.Instance {
	out := map[string][]*policy.Instance{}
	for _, i := range p.Instances {
		host := i.Host
		if host == policy.Nowhere {
			host = ""
		}
		out[host] = append(out[host], i)
		if i.MigratingTo != "" && i.MigratingTo != i.Host {
			out[i.MigratingTo] = append(out[i.MigratingTo], i)
		}
	}
	return out
}

// Place has an instance run on a host, from one moment to the next.
func Place(instance, host string) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		if err := notMoving(i); err != nil {
			return err
		}
		if i.Host == host {
			return refuse(ErrThere, instances.quoted(instance), "it is on the host %s already",
				wording.Quote(host))
		}
		i.Host = host
		return nil
	})
}

// Migrate begins a live move: the instance is local on a second host, too.
func Migrate(instance, host string) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		switch err := notMoving(i); {
		case err != nil:
			return err
		case i.Host == "" || i.Host == policy.Nowhere:
			return refuse(ErrNotThere, instances.quoted(instance), "it is on no host yet; place it: "+
				"move it without --live")
		case i.Host == host:
			return refuse(ErrThere, instances.quoted(instance), "it is on the host %s already",
				wording.Quote(host))
		}
		i.MigratingTo = host
		return nil
	})
}

// Finish ends a live move: the instance is on the second host only.
func Finish(instance string) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		if err := moving(i); err != nil {
			return err
		}
		i.Host, i.MigratingTo = i.MigratingTo, ""
		return nil
	})
}

// Abort takes a live move back: the instance stays where it was.
func Abort(instance string) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		if err := moving(i); err != nil {
			return err
		}
		i.MigratingTo = ""
		return nil
	})
}

func moving(i *policy.Instance) error {
	if i.MigratingTo == "" {
		return refuse(ErrNotThere, instances.quoted(i.Name), "it is not moving: it is on %s", where(i))
	}
	return nil
}

func notMoving(i *policy.Instance) error {
	if i.MigratingTo != "" {
		return refuse(ErrNeeded, instances.quoted(i.Name), "it is moving from %s to %s; finish or "+
			"abort that move first", where(i), wording.Quote(i.MigratingTo))
	}
	return nil
}

func where(i *policy.Instance) string {
	switch i.Host {
	case policy.Nowhere:
		return "no host"
	case "":
		return "every host"
	}
	return wording.Quote(i.Host)
}

// Drain puts all instances of a host onto another, or, with "", onto none. Those that move away
// live are on the host that they move to.
func Drain(host, to string) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		object := "host " + wording.Quote(host)
		if host == to {
			return nil, refuse(ErrNeeded, object, "name another host")
		}
		list := Hosts(p)[host]
		if host == "" || len(list) == 0 {
			return nil, refuse(ErrNotThere, object, "no instance is on it")
		}
		if to == "" {
			to = policy.Nowhere
		}
		next := *p
		next.Instances = slices.Clone(p.Instances)
		for n, i := range next.Instances {
			if i.Host == host || i.MigratingTo == host {
				moved := *i
				drain(&moved, host, to)
				next.Instances[n] = &moved
			}
		}
		return &next, nil
	}
}

// drain takes one instance off a host.
func drain(i *policy.Instance, host, to string) {
	switch {
	case i.MigratingTo == host:
		i.MigratingTo = "" // it stays where it is
	case i.MigratingTo != "":
		i.Host, i.MigratingTo = i.MigratingTo, ""
	default:
		i.Host = to
	}
}

// CheckEmpty refuses where instances are on a host.
func CheckEmpty(p *policy.Policy, host string) error {
	var names []string
	for _, i := range Hosts(p)[host] {
		names = append(names, i.Name)
	}
	if len(names) == 0 {
		return nil
	}
	return refuse(ErrNeeded, "host "+wording.Quote(host), "%s on it: %s; move them first: drain",
		count(len(names), "instance is", "instances are"), some(names))
}
