package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What is said of a name that nothing has: a part of [Validate].

// what is the word for the group.
func (g *Group) what() string {
	if g.IsNetwork {
		return "network"
	}
	return "group"
}

// badGroupName is of the name of a group, or of a network: that must not look like one.
func badGroupName(g *Group) string {
	problem := BadName(g.Name)
	switch {
	case problem != "" || !g.IsNetwork:
		return problem
	case !IsNetworkName(g.Name):
		return "is " + wording.Quote(g.Name) + "; the name of a network begins with a letter and " +
			`has neither "/" nor ":"`
	case meansAny(g.Name):
		return "is " + wording.Quote(g.Name) + ", which would be taken for all addresses there " +
			"are; use another name"
	}
	return ""
}

// IsNetworkName says whether what stands where a network is meant is the name of one: it begins
// with a letter, and has neither "/" nor ":".
func IsNetworkName(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.IsLetter(first) && !strings.ContainsAny(word, "/:")
}

// meansAny says whether a word is one by which people mean all addresses.
func meansAny(word string) bool {
	words := []string{"all", "any", "anyone", "anywhere", "everyone", "everywhere", "internet",
		"outside", "world"}
	return slices.Contains(words, strings.ToLower(word))
}

// reference reports the use of a group, or of a named network, that does not exist.
func (v *Validator) reference(at location, p Peer) {
	n, known := v.groups[p.Group]
	if known && v.policy.Groups[n].IsNetwork == p.IsNetwork {
		return
	}
	if problem := BadName(p.Group); problem != "" {
		v.wrong(at, problem)
		return
	}
	v.wrong(at, v.hint(p))
}

// hint says what is wrong with a name. What would be right is looked for for the first few only:
// looking is slow when there are many groups, and who has misspelt a hundred names has made one
// mistake in a program.
func (v *Validator) hint(p Peer) string {
	const most = 20
	hint, known := v.hints[p]
	switch {
	case known:
		return hint
	case len(v.hints) >= most:
		return "there is no " + p.String()
	}
	if v.hints == nil {
		v.hints = make(map[Peer]string)
	}
	v.hints[p] = v.missing(p)
	return v.hints[p]
}

// missing says that there is no such group or named network, and what there is.
func (v *Validator) missing(p Peer) string {
	quoted := wording.Quote(p.Group)
	switch _, isOther := v.groups[p.Group]; {
	case isOther && p.IsNetwork:
		return quoted + " is a group, not a named network; write group: " + p.Group
	case isOther:
		return quoted + " is a named network, not a group; where a rule is about it, write cidr: " +
			p.Group
	case p.IsNetwork && meansAny(p.Group):
		return "is " + quoted + "; write 0.0.0.0/0 for all of IPv4, ::/0 for all of IPv6, or " +
			`["0.0.0.0/0", "::/0"] for both`
	}
	what := (&Group{IsNetwork: p.IsNetwork}).what()
	for _, i := range v.policy.Instances {
		if i.Name == p.Group && p.Group != "" {
			return "there is no " + what + " " + quoted + "; it is an instance: name a group that " +
				"it is in, or write its address as cidr"
		}
	}
	var names []string
	for _, g := range v.policy.Groups {
		if g.IsNetwork == p.IsNetwork {
			names = append(names, g.Name)
		}
	}
	return "there is no " + what + " " + quoted + wording.DidYouMean(p.Group, names)
}
