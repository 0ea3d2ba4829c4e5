package explain

import (
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// This file asks a reader of a world one question, for tests that have no more.

func FindEnd(w spec.World, name string) (End, error) { return Read(w).FindEnd(name) }

func Names(w spec.World) []string { return Read(w).Names() }

func Explain(w spec.World, from, to End, s Asked, only ...string) Explanation {
	return Read(w).Explain(from, to, s, only...)
}

func Converse(w spec.World, c Conversation, from, to End) Explanation {
	return Read(w).Converse(c, from, to)
}

func Peers(w spec.World, end End, d policy.Direction, s Asked) []Reach {
	return slices.Collect(Read(w).Peers(end, d, s))
}
