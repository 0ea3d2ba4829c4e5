package edit

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Edits of instances, of their ports, and of where they run.

// AddInstance adds an instance with its ports.
func AddInstance(i policy.Instance) Edit {
	if len(i.Ports) == 0 {
		return func(*policy.Policy) (*policy.Policy, error) {
			return nil, refuse(ErrNeeded, instances.quoted(i.Name), "it needs a port: an instance of a "+
				"database is its ports")
		}
	}
	return instances.add(&i)
}

// PutInstance adds an instance with its ports, in the place of one of its name if there is one. One
// that is all the same is left as it is.
func PutInstance(i policy.Instance) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		at, err := instances.find(p, i.Name)
		if err != nil {
			return AddInstance(i)(p)
		}
		switch {
		case len(i.Ports) == 0:
			return AddInstance(i)(p)
		case p.Instances[at].Equal(&i):
			return p, nil
		}
		return SetInstance(i.Name, func(v *policy.Instance) { *v = i })(p)
	}
}

// SetInstance changes an instance, but for its name and its ports. Lists that it changes must be
// made anew.
func SetInstance(name string, change func(*policy.Instance)) Edit {
	return instances.set(name, func(_ *policy.Policy, i *policy.Instance) error {
		change(i)
		return nil
	})
}

// RemoveInstance takes an instance away, with its ports.
func RemoveInstance(name string) Edit {
	return instances.remove(name, func(*policy.Policy) error { return nil })
}

// Join puts an instance into a group more.
func Join(instance, group string) Edit {
	return instances.set(instance, func(p *policy.Policy, i *policy.Instance) error {
		if _, err := groups.find(p, group); err != nil {
			return err
		}
		if slices.Contains(i.Groups, group) {
			return refuse(ErrThere, instances.quoted(instance), "it is in the group %s already",
				wording.Quote(group))
		}
		i.Groups = append(slices.Clone(i.Groups), group)
		slices.Sort(i.Groups)
		return nil
	})
}

// Leave takes an instance out of a group.
func Leave(instance, group string) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		at := slices.Index(i.Groups, group)
		if at < 0 {
			return refuse(ErrNotThere, instances.quoted(instance), "it is not in the group %s; it is "+
				"in %s", wording.Quote(group), someOrNone(i.Groups))
		}
		i.Groups = slices.Delete(slices.Clone(i.Groups), at, at+1)
		return nil
	})
}

func someOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return some(names)
}

// FindPort finds a port by its name, or by INSTANCE/NAME where several hosts have one of that name.
func FindPort(p *policy.Policy, name string) (*policy.Instance, int, error) {
	var found *policy.Instance
	var at int
	var owners, names []string
	for _, i := range p.Instances {
		for n := range i.Ports {
			port := i.Ports[n].Name
			names = append(names, port)
			if port == name || len(name) == len(i.Name)+1+len(port) &&
				strings.HasPrefix(name, i.Name+"/") && strings.HasSuffix(name, port) {
				found, at = i, n
				owners = append(owners, i.Name+"/"+port)
			}
		}
	}
	object := "port " + wording.Quote(name)
	switch len(owners) {
	case 0:
		return nil, 0, refuse(ErrNotThere, object, "there is none of this name%s",
			wording.DidYouMean(name, names))
	case 1:
		return found, at, nil
	}
	return nil, 0, refuse(ErrNotThere, object, "there are several of this name; write one of %s",
		some(owners))
}

// AddPort gives an instance one port more.
func AddPort(instance string, port policy.Port) Edit {
	return instances.set(instance, func(_ *policy.Policy, i *policy.Instance) error {
		if slices.ContainsFunc(i.Ports, func(p policy.Port) bool { return p.Name == port.Name }) {
			return refuse(ErrThere, "port "+wording.Quote(port.Name), "the instance %s has one of this "+
				"name already", wording.Quote(instance))
		}
		i.Ports = append(slices.Clone(i.Ports), port)
		slices.SortFunc(i.Ports, func(a, b policy.Port) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
}

// SetPort changes a port, but for its name. Lists that it changes must be made anew.
func SetPort(name string, change func(*policy.Port)) Edit {
	return ofPort(name, func(i *policy.Instance, at int) error {
		change(&i.Ports[at])
		return nil
	})
}

// RemovePort takes a port away that is not the only one of its instance.
func RemovePort(name string) Edit {
	return ofPort(name, func(i *policy.Instance, at int) error {
		if len(i.Ports) == 1 {
			return refuse(ErrNeeded, "port "+wording.Quote(name), "it is the only one of the instance "+
				"%s; remove that", wording.Quote(i.Name))
		}
		i.Ports = slices.Delete(i.Ports, at, at+1)
		return nil
	})
}

// ofPort changes a copy of the instance of a port, and of its list of ports.
func ofPort(name string, change func(i *policy.Instance, at int) error) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		owner, at, err := FindPort(p, name)
		if err != nil {
			return nil, err
		}
		return instances.set(owner.Name, func(_ *policy.Policy, i *policy.Instance) error {
			i.Ports = slices.Clone(i.Ports)
			return change(i, at)
		})(p)
	}
}
