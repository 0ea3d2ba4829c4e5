package objects

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The command group.

var groupKeys = []string{"description", "shared", "external_sources"}

// NewGroup makes the command group.
func NewGroup(f *cli.Files) *cobra.Command {
	var add, set *cobra.Command
	add = writes(f, "group", "add GROUP", "Add a group", cobra.ExactArgs(1), oneGroup,
		func(_ *policy.Policy, args []string) (edit.Edit, error) {
			g, err := flaggedGroup(add, &policy.Group{Name: args[0]})
			if err != nil {
				return nil, err
			}
			return edit.AddGroup(*g), nil
		})
	groupFlags(add)
	add.Flags().Bool("network", false, "a named network instead: external sources only")
	set = writes(f, "group", "set GROUP", "Change a group; a list replaces the one before",
		cobra.ExactArgs(1), oneGroup, func(p *policy.Policy, args []string) (edit.Edit, error) {
			old, err := findGroup(p, args[0])
			if err != nil {
				return nil, err
			}
			g, err := flaggedGroup(set, old)
			if err != nil {
				return nil, err
			}
			return edit.SetGroup(args[0], func(v *policy.Group) {
				v.Description, v.Shared, v.ExternalSources = g.Description, g.Shared, g.ExternalSources
			}), nil
		})
	groupFlags(set)
	remove := writes(f, "group", "remove GROUP", "Remove a group that nothing names any more",
		cobra.ExactArgs(1), aroundGroup, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.RemoveGroup(args[0]), nil
		})
	return noun("group", "List, show, add, change and remove groups of a policy",
		"Group lists the groups and named networks of a policy, shows one, and changes them in a "+
			"policy database. Rules have a command of their own.",
		"  portcullis group list\n"+
			"  portcullis group add backend --description 'databases'\n"+
			"  portcullis group set backend --shared --dry-run",
		reads(f, "list", "List groups", cobra.NoArgs, allGroups, listGroups),
		reads(f, "show GROUP", "Show a group", cobra.ExactArgs(1), aroundGroup, showGroup), add, set, remove)
}

func groupFlags(cmd *cobra.Command) {
	cmd.Flags().String("description", "", "for people")
	cmd.Flags().Bool("shared", false, "rules of other projects may name it")
	cmd.Flags().StringArray("external-source", nil,
		"a `NETWORK` that counts as a member; several times for several, \"\" for none")
}

// flaggedGroup is a group with what the flags say.
func flaggedGroup(cmd *cobra.Command, old *policy.Group) (*policy.Group, error) {
	about := "group " + wording.Quote(old.Name)
	of := fieldsOf(old)
	delete(of, "rules")
	of.flagged(cmd, groupKeys...)
	part, err := read(about, "groups", of)
	if err != nil {
		return nil, err
	}
	g := *part.Groups[0]
	g.At, g.IsNetwork = policy.Position{}, old.IsNetwork
	if flag := cmd.Flags().Lookup("network"); flag != nil && flag.Changed {
		g.IsNetwork = flag.Value.String() == "true"
	}
	if g.IsNetwork && g.Description != "" {
		return nil, errors.New(about + ": a named network has no description")
	}
	return &g, nil
}

// groupRow is a group as group list has it.
type groupRow struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	IsNetwork   bool     `json:"network,omitempty"`
	Shared      bool     `json:"shared,omitempty"`
	Sources     []string `json:"external_sources,omitempty"`
	Rules       int      `json:"rules"`
	Members     int      `json:"members"`
}

func listGroups(w world, _ []string) (answer, error) {
	members := w.members
	if members == nil {
		members = w.Policy.MemberCounts()
	}
	rows := []groupRow{}
	grid := term.Grid{Of: "groups", Hint: "--all", Empty: "there are no groups",
		Columns: []term.Column{{Title: "GROUP"}, {Title: "RULES", Right: true},
			{Title: "MEMBERS", Right: true}, {Title: "SHARED", IfAny: true, Drop: 2},
			{Title: "NETWORKS", IfAny: true, Flex: true}, {Title: "DESCRIPTION", IfAny: true, Flex: true}}}
	for _, g := range w.Groups {
		row := groupRow{g.Name, g.Description, g.IsNetwork, g.Shared, texts(g.ExternalSources),
			len(g.Rules), members[g.Name]}
		rows = append(rows, row)
		grid.Rows = append(grid.Rows, term.Row{Cells: []string{g.Name, strconv.Itoa(row.Rules),
			strconv.Itoa(row.Members), yes(g.Shared), strings.Join(row.Sources, " "), g.Description}})
	}
	return answer{term.Sheet{Grids: []term.Grid{grid}}, rows}, nil
}

// groupView is a group as group show has it.
type groupView struct {
	*policy.Group
	Rules   []ruleRow `json:"rules"`
	Members []string  `json:"members"`
	NamedBy []ruleRow `json:"named_by"` // rules of all groups that name it
}

func showGroup(w world, args []string) (answer, error) {
	g, err := findGroup(w.Policy, args[0])
	if err != nil {
		return answer{}, err
	}
	shown := groupView{Group: g, Rules: []ruleRow{}, Members: []string{}, NamedBy: []ruleRow{}}
	for _, r := range rules(w.Policy) {
		if r.Group == g.Name {
			shown.Rules = append(shown.Rules, r)
		}
		if r.rule.Names(g.Name) {
			shown.NamedBy = append(shown.NamedBy, r)
		}
	}
	for _, i := range w.Instances {
		if slices.Contains(i.Groups, g.Name) {
			shown.Members = append(shown.Members, i.Name)
		}
	}
	var s term.Sheet
	s.Facts = facts("group", g.Name, "description", g.Description, "shared", yes(g.Shared),
		"external sources", strings.Join(texts(g.ExternalSources), " "),
		"members", fmt.Sprintf("%d: %s", len(shown.Members), strings.Join(shown.Members, " ")))
	s.Grids = []term.Grid{rulesGrid("rules", shown.Rules), rulesGrid("named by", shown.NamedBy)}
	return answer{s, shown}, nil
}

// facts are labels and texts, without those that say nothing.
func facts(words ...string) (out []term.Fact) {
	for n := 0; n < len(words); n += 2 {
		if words[n+1] != "" {
			out = append(out, term.Fact{Label: words[n], Text: words[n+1]})
		}
	}
	return out
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for n, v := range list {
		out[n] = v.String()
	}
	return out
}
