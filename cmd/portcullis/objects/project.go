package objects

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
)

// The command project.

// NewProject makes the command project.
func NewProject(f *cli.Files) *cobra.Command {
	var add, set *cobra.Command
	add = writes(f, "project", "add PROJECT", "Declare a project", cobra.ExactArgs(1),
		oneProject, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.AddProject(policy.Project{Name: args[0],
				Description: add.Flag("description").Value.String()}), nil
		})
	add.Flags().String("description", "", "for people")
	set = writes(f, "project", "set PROJECT", "Change what is said of a project",
		cobra.ExactArgs(1), oneProject, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.SetProject(args[0], func(p *policy.Project) {
				if flag := set.Flag("description"); flag.Changed {
					p.Description = flag.Value.String()
				}
			}), nil
		})
	set.Flags().String("description", "", "for people")
	remove := writes(f, "project", "remove PROJECT", "Remove a project that has nothing left",
		cobra.ExactArgs(1), oneProject, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.RemoveProject(args[0]), nil
		})
	return noun("project", "List, show, add, change and remove projects of a policy",
		"Project lists the projects of a policy, shows one, and declares them in a policy database. A "+
			"project has the groups and instances whose names begin with\nits own and a slash; its "+
			"rules name its own groups and shared ones of others.",
		"  portcullis project add acme --description customer\n"+
			"  portcullis group add acme/web --project acme",
		reads(f, "list", "List projects", cobra.NoArgs, all, listProjects),
		reads(f, "show PROJECT", "Show what a project has", cobra.ExactArgs(1), oneProject, showProject), add,
		set, remove)
}

// projectRow is a project as project list has it.
type projectRow struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Groups      int    `json:"groups"`
	Instances   int    `json:"instances"`
}

func listProjects(w world, _ []string) (answer, error) {
	groups, instances := map[string]int{}, map[string]int{}
	for _, g := range w.Groups {
		project, _ := policy.SplitName(g.Name)
		groups[project]++
	}
	for _, i := range w.Instances {
		project, _ := policy.SplitName(i.Name)
		instances[project]++
	}
	grid := term.Grid{Of: "projects", Empty: "there are no projects", Columns: []term.Column{
		{Title: "PROJECT"}, {Title: "GROUPS", Right: true}, {Title: "INSTANCES", Right: true},
		{Title: "DESCRIPTION", IfAny: true, Flex: true}}}
	rows := []projectRow{}
	for _, p := range w.Projects {
		rows = append(rows, projectRow{p.Name, p.Description, groups[p.Name], instances[p.Name]})
		grid.Rows = append(grid.Rows, term.Row{Cells: []string{p.Name, strconv.Itoa(groups[p.Name]),
			strconv.Itoa(instances[p.Name]), p.Description}})
	}
	return answer{term.Sheet{Grids: []term.Grid{grid}}, rows}, nil
}

func showProject(w world, args []string) (answer, error) {
	p, err := find("project", args[0], w.Projects, func(p *policy.Project) string { return p.Name })
	if err != nil {
		return answer{}, err
	}
	own := world{Policy: &policy.Policy{Projects: []*policy.Project{p}}}
	for _, g := range w.Groups {
		if project, _ := policy.SplitName(g.Name); project == p.Name {
			own.Groups = append(own.Groups, g)
		}
	}
	for _, i := range w.Instances {
		if project, _ := policy.SplitName(i.Name); project == p.Name {
			own.Instances = append(own.Instances, i)
		}
	}
	groups, err := listGroups(own, nil)
	if err != nil {
		return answer{}, err
	}
	return answer{term.Sheet{Facts: facts("project", p.Name, "description", p.Description),
		Grids: append(groups.sheet.Grids, instancesGrid(own.Instances))}, own.Policy}, nil
}
