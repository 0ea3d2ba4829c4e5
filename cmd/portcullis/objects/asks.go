package objects

import (
	"github.com/portcullis/portcullis/flows/excerpt"
)

// What of a policy a verb asks a server for. Invariant: a verb tells of it what it would tell of
// the whole; where it finds that something is not there, it looks at the whole.

// asks says what is asked for, by the arguments of a verb.
type asks func(args []string) excerpt.Asked

func all([]string) excerpt.Asked { return excerpt.Asked{} }

func allGroups([]string) excerpt.Asked {
	return excerpt.Asked{Kinds: []string{excerpt.AllGroups}}
}

func allInstances([]string) excerpt.Asked {
	return excerpt.Asked{Kinds: []string{excerpt.AllInstances}}
}

// first are the first argument alone.
func first(args []string) []string { return args[:min(1, len(args))] }

func oneGroup(args []string) excerpt.Asked { return excerpt.Asked{Groups: first(args)} }

// aroundGroup asks for who names a group and who is in it, too.
func aroundGroup(args []string) excerpt.Asked { return excerpt.Asked{Around: first(args)} }

func oneRule(args []string) excerpt.Asked { return excerpt.Asked{Rules: first(args)} }

func oneInstance(args []string) excerpt.Asked { return excerpt.Asked{Instances: first(args)} }

func onePort(args []string) excerpt.Asked { return excerpt.Asked{Ports: first(args)} }

func oneHost(args []string) excerpt.Asked { return excerpt.Asked{Hosts: first(args)} }

func oneProject(args []string) excerpt.Asked { return excerpt.Asked{Projects: first(args)} }

// groupsOrAll asks for the group that is named, or for all.
func groupsOrAll(args []string) excerpt.Asked {
	if len(args) == 0 {
		return allGroups(args)
	}
	return oneGroup(args)
}

// instancesOrAll asks for the instance that is named, or for all.
func instancesOrAll(args []string) excerpt.Asked {
	if len(args) == 0 {
		return allInstances(args)
	}
	return oneInstance(args)
}

// ruleOrGroup asks for a rule by its ID, or for the group that has the rule whose words follow.
func ruleOrGroup(args []string) excerpt.Asked {
	if len(args) == 1 {
		return oneRule(args)
	}
	return oneGroup(args)
}

// allOf asks for all that is called so in a usage.
func allOf(what string) excerpt.Asked {
	switch what {
	case "GROUP", "ID":
		return allGroups(nil)
	case "INSTANCE", "PORT", "HOST":
		return allInstances(nil)
	}
	return excerpt.Asked{}
}
