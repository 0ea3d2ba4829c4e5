package objects

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The command rule. A rule is written in the words that every answer has for it, and known by the
// ID of these words.

const ruleHelp = "Rule lists the rules of a policy, shows one, and changes them in a policy database. " +
	"A rule is written as every answer says it:\n\n" +
	"  ingress|egress PROTOCOL [PORTS] [type TYPE [code CODE]] from|to PEER…\n\n" +
	"Ports are numbers, ranges and services; a peer is a network, the name of one, or 'group GROUP'; " +
	"several have commas or blanks between them. Its ID,\n" +
	"which explain, top and the counters have, too, is of its group and these words: it stays as long " +
	"as these do."

// NewRule makes the command rule.
func NewRule(f *cli.Files) *cobra.Command {
	remove := writes(f, "rule", "remove ID|GROUP [WORDS…]", "Remove a rule", cobra.MinimumNArgs(1),
		ruleOrGroup, func(p *policy.Policy, args []string) (edit.Edit, error) {
			if len(args) == 1 {
				r, err := findRule(p, args[0])
				return edit.RemoveRule(r.Group, r.rule), err
			}
			r, err := ruleOf(args[0], args[1:], "")
			return edit.RemoveRule(args[0], r), err
		})
	return noun("rule", "List, show, add, replace and remove rules of a policy", ruleHelp,
		"  portcullis rule list backend\n"+
			"  portcullis rule add backend ingress tcp 3306 from group frontend\n"+
			"  portcullis rule add web ingress tcp 80, 443 from 0.0.0.0/0, ::/0 --dry-run\n"+
			"  portcullis rule remove 3370422492",
		reads(f, "list [GROUP]", "List rules", cobra.MaximumNArgs(1), groupsOrAll, listRules),
		reads(f, "show ID", "Show a rule", cobra.ExactArgs(1), oneRule, showRule), newAddRule(f), newSetRule(f),
		remove)
}

func newAddRule(f *cli.Files) *cobra.Command {
	var description string
	cmd := writes(f, "rule", "add GROUP WORDS…", "Add a rule to a group", cobra.MinimumNArgs(2),
		oneGroup, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			r, err := ruleOf(args[0], args[1:], description)
			return edit.AddRule(args[0], r), err
		})
	cmd.Flags().StringVar(&description, "description", "", "for people")
	return cmd
}

func newSetRule(f *cli.Files) *cobra.Command {
	var cmd *cobra.Command
	cmd = writes(f, "rule", "set ID [WORDS…]", "Replace a rule, or what is said of it",
		cobra.MinimumNArgs(1), oneRule, func(p *policy.Policy, args []string) (edit.Edit, error) {
			old, err := findRule(p, args[0])
			if err != nil {
				return nil, err
			}
			next, description := old.rule, old.Description
			if flag := cmd.Flag("description"); flag.Changed {
				description = flag.Value.String()
			}
			if len(args) > 1 {
				next, err = ruleOf(old.Group, args[1:], description)
			}
			next.Description = description
			return edit.SetRule(old.Group, old.rule, next), err
		})
	cmd.Flags().String("description", "", "for people")
	return cmd
}

func listRules(w world, args []string) (answer, error) {
	list := rules(w.Policy)
	if len(args) > 0 {
		g, err := findGroup(w.Policy, args[0])
		if err != nil {
			return answer{}, err
		}
		all := list
		list = []ruleRow{}
		for _, r := range all {
			if r.Group == g.Name {
				list = append(list, r)
			}
		}
	}
	return answer{term.Sheet{Grids: []term.Grid{rulesGrid("rules", list)}}, list}, nil
}

func showRule(w world, args []string) (answer, error) {
	r, err := findRule(w.Policy, args[0])
	if err != nil {
		return answer{}, err
	}
	return answer{term.Sheet{Facts: facts("rule", strconv.FormatUint(uint64(r.ID), 10), "group",
		r.Group, "admits", r.Words, "description", r.Description)}, r}, nil
}

func rulesGrid(of string, list []ruleRow) term.Grid {
	grid := term.Grid{Of: of, Hint: "--all", Empty: "no rules", Columns: []term.Column{{Title: "ID"},
		{Title: "GROUP"}, {Title: "RULE", Flex: true}, {Title: "DESCRIPTION", IfAny: true, Flex: true}}}
	if of != "rules" {
		grid.Empty = ""
	}
	for _, r := range list {
		grid.Rows = append(grid.Rows, term.Row{Cells: []string{strconv.FormatUint(uint64(r.ID), 10),
			r.Group, r.Words, r.Description}})
	}
	return grid
}

const ruleForm = "write it as ingress tcp 80 from 0.0.0.0/0, or egress tcp 3306 to group backend"

// ruleOf reads a rule in words. What its parts may be says the reader of policy files.
func ruleOf(group string, words []string, description string) (policy.Rule, error) {
	about := "rule of group " + wording.Quote(group)
	if len(words) == 1 {
		words = strings.Fields(words[0])
	}
	f, err := ruleFields(words)
	if err != nil {
		return policy.Rule{}, errors.New(about + ": " + err.Error())
	}
	if description != "" {
		f["description"] = description
	}
	p, err := read(about, "groups", fields{"name": group, "rules": []any{f}})
	if err != nil {
		return policy.Rule{}, errors.New(strings.ReplaceAll(err.Error(), "rules[0].", ""))
	}
	r := p.Groups[0].Rules[0]
	r.At = policy.Position{}
	r.Ports, r.Peers = policy.UnionOfPorts(r.Ports), policy.UnionOfPeers(r.Peers)
	return r, nil
}

// ruleFields parts words into the keys of a rule.
func ruleFields(words []string) (fields, error) {
	at := -1
	for n, word := range words {
		if word == "from" || word == "to" {
			at = n
			break
		}
	}
	if at < 2 || at == len(words)-1 {
		return nil, errors.New(ruleForm)
	}
	f := fields{"direction": words[0], "protocol": strings.Trim(words[1], ",")}
	if want := map[string]string{"ingress": "from", "egress": "to"}[words[0]]; want != "" &&
		words[at] != want {
		return nil, errors.New(words[0] + " is " + want + " somebody; " + ruleForm)
	}
	if err := f.service(words[2:at]); err != nil {
		return nil, err
	}
	return f, f.peers(words[at+1:])
}

// service reads what stands between the protocol and the peers.
func (f fields) service(words []string) error {
	var ports []any
	for n := 0; n < len(words); n++ {
		switch word := words[n]; word {
		case "type", "code":
			if n++; n == len(words) {
				return errors.New("what follows " + word + " is missing; " + ruleForm)
			}
			f["icmp_"+word] = words[n]
			if _, err := strconv.Atoi(words[n]); err == nil {
				f["icmp_"+word] = json.RawMessage(words[n])
			}
		default:
			for _, port := range strings.Split(word, ",") {
				if port != "" {
					ports = append(ports, port)
				}
			}
		}
	}
	if len(ports) > 0 {
		f["ports"] = ports
	}
	return nil
}

// peers reads the peers. After "group" a word is the name of one, as it is.
func (f fields) peers(words []string) error {
	var networks, groups []any
	for n := 0; n < len(words); n++ {
		switch word := words[n]; word {
		case "group", "network":
			if n++; n == len(words) {
				return errors.New("the name of the " + word + " is missing; " + ruleForm)
			}
			name := words[n]
			if n+1 < len(words) {
				name = strings.TrimSuffix(name, ",")
			}
			if word == "group" {
				groups = append(groups, name)
			} else {
				networks = append(networks, name)
			}
		default:
			for _, network := range strings.Split(word, ",") {
				if network != "" {
					networks = append(networks, network)
				}
			}
		}
	}
	if len(networks) > 0 {
		f["cidr"] = networks
	}
	if len(groups) > 0 {
		f["group"] = groups
	}
	return nil
}
