package edit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What all edits are made of. Invariant: an object is replaced, never altered.

// Edit makes another policy of one.
type Edit func(*policy.Policy) (*policy.Policy, error)

// Why an edit is refused; see [errors.Is].
var (
	ErrNotThere = errors.New("is not there")
	ErrThere    = errors.New("is there already")
	ErrNeeded   = errors.New("is needed")
)

// Error is an edit that is refused: its object, and what would be right. Cause is one of the errors
// of this package.
type Error struct {
	Object string // such as group "web"
	Text   string
	Cause  error
}

// Error returns one line.
func (e *Error) Error() string { return e.Object + ": " + e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func refuse(cause error, object, format string, args ...any) error {
	return &Error{Object: object, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// All makes several edits, one after the other, or none.
func All(edits ...Edit) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		var err error
		for _, one := range edits {
			if p, err = one(p); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
}

// kind is what is said of one kind of objects, and where a policy has them.
type kind[T any] struct {
	word string
	name func(*T) string
	list func(*policy.Policy) *[]*T
}

var (
	projects = kind[policy.Project]{"project", func(p *policy.Project) string { return p.Name },
		func(p *policy.Policy) *[]*policy.Project { return &p.Projects }}
	groups = kind[policy.Group]{"group", func(g *policy.Group) string { return g.Name },
		func(p *policy.Policy) *[]*policy.Group { return &p.Groups }}
	instances = kind[policy.Instance]{"instance", func(i *policy.Instance) string { return i.Name },
		func(p *policy.Policy) *[]*policy.Instance { return &p.Instances }}
)

func (k kind[T]) quoted(name string) string { return k.word + " " + wording.Quote(name) }

// find returns the index of an object.
func (k kind[T]) find(p *policy.Policy, name string) (int, error) {
	list := *k.list(p)
	at := slices.IndexFunc(list, func(v *T) bool { return k.name(v) == name })
	if at >= 0 {
		return at, nil
	}
	names := make([]string, len(list))
	for n, v := range list {
		names[n] = k.name(v)
	}
	return 0, refuse(ErrNotThere, k.quoted(name), "there is none of this name%s",
		wording.DidYouMean(name, names))
}

// add puts an object where its name belongs.
func (k kind[T]) add(v *T) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		name := k.name(v)
		if _, err := k.find(p, name); err == nil {
			return nil, refuse(ErrThere, k.quoted(name), "there is one of this name already; "+
				"change it with set, or choose another name")
		}
		next := *p
		list := k.list(&next)
		at, _ := slices.BinarySearchFunc(*list, name, func(v *T, name string) int {
			return strings.Compare(k.name(v), name)
		})
		*list = slices.Insert(slices.Clone(*list), at, v)
		return &next, nil
	}
}

// set replaces an object by a copy that was changed.
func (k kind[T]) set(name string, change func(*policy.Policy, *T) error) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		at, err := k.find(p, name)
		if err != nil {
			return nil, err
		}
		changed := *(*k.list(p))[at]
		if err := change(p, &changed); err != nil {
			return nil, err
		}
		next := *p
		list := k.list(&next)
		*list = slices.Clone(*list)
		(*list)[at] = &changed
		return &next, nil
	}
}

// remove takes an object away that nothing needs.
func (k kind[T]) remove(name string, needed func(*policy.Policy) error) Edit {
	return func(p *policy.Policy) (*policy.Policy, error) {
		at, err := k.find(p, name)
		if err != nil {
			return nil, err
		}
		if err := needed(p); err != nil {
			return nil, err
		}
		next := *p
		list := k.list(&next)
		*list = slices.Delete(slices.Clone(*list), at, at+1)
		return &next, nil
	}
}

// most is how many names one message has.
const most = 4

// some lists names, the first of them.
func some(names []string) string {
	if n := len(names) - most; n > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}
