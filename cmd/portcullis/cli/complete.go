package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis/portcullis/controller/apiclient"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Completion of what only the policy knows. It reads the files that the daemon would; where they
// cannot be read there is nothing to offer, and nothing is said: the shell has no place for it.

// completeInstances offers the names of instances.
func (f *Files) completeInstances(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	var offers []cobra.Completion
	for _, i := range f.completed(cmd, excerpt.AllInstances).Instances {
		offers = append(offers, strings.TrimSuffix(cobra.CompletionWithDesc(i.Name,
			strings.Join(i.Groups, " ")), "\t"))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// CompletePeers offers what stands for one end of a connection: an instance, a group, any, or
// outside. An address is the user's to write.
func (f *Files) CompletePeers(cmd *cobra.Command, args []string, word string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	offers, directive := f.completeInstances(cmd, args, word)
	for _, g := range f.completed(cmd, excerpt.AllGroups).Groups {
		offers = append(offers, cobra.CompletionWithDesc(g.Name,
			strings.TrimSpace("group "+g.Description)))
	}
	return append(offers, cobra.CompletionWithDesc(explain.AnyEnd, "every address"),
		cobra.CompletionWithDesc(explain.OutsideEnd, "every address that is no instance's")), directive
}

// completeGroups offers the names of groups.
func (f *Files) completeGroups(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	var offers []cobra.Completion
	for _, g := range f.completed(cmd, excerpt.AllGroups).Groups {
		offers = append(offers, strings.TrimSuffix(cobra.CompletionWithDesc(g.Name, g.Description),
			"\t"))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completePorts offers the names of ports.
func (f *Files) completePorts(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	var offers []cobra.Completion
	for _, i := range f.completed(cmd, excerpt.AllInstances).Instances {
		for _, p := range i.Ports {
			offers = append(offers, cobra.CompletionWithDesc(p.Name, i.Name))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completionTime is how long a shell waits for names: whoever types goes on without them.
const completionTime = time.Second

// Briefly bounds what a command asks to complete words.
func Briefly(cmd *cobra.Command) context.CancelFunc {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	cmd.SetContext(ctx)
	return cancel
}

// completed is the policy that completion reads, or at least its objects of a kind: that of the API
// server which is named, or that of the files; an empty one if it cannot be read.
func (f *Files) completed(cmd *cobra.Command, kind string) *policy.Policy {
	defer Briefly(cmd)()
	if cmd.Flags().Lookup("server") != nil && len(f.Policies) == 0 && f.HasServer() {
		if options, err := f.Server.named(); err == nil && options != nil {
			return partOf(cmd.Context(), *options, kind)
		}
		return &policy.Policy{}
	}
	in, err := f.Read()
	if err != nil {
		return &policy.Policy{}
	}
	return in.Policy
}

// partOf are the objects of a kind that a server has; none if it cannot be asked.
func partOf(ctx context.Context, server apiclient.Options, kind string) *policy.Policy {
	c, err := apiclient.New(ctx, server)
	if err != nil {
		return &policy.Policy{}
	}
	defer c.Close()
	got, err := c.Part(excerpt.Asked{Kinds: []string{kind}})
	if err != nil {
		return &policy.Policy{}
	}
	return got.Policy
}

// SetCompletion has every command complete what the flags of one name mean everywhere, and no names
// of files where none is asked for.
func SetCompletion(root *cobra.Command, f *Files) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	// fails for a flag that is not there
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	offers := map[string]cobra.CompletionFunc{
		"via": cobra.FixedCompletions([]cobra.Completion{"direct", "router"},
			cobra.ShellCompDirectiveNoFileComp),
		"instance": f.completeInstances,
		"port":     f.completePorts,
		"group":    f.completeGroups,
		"from":     f.CompletePeers,
		"to":       f.CompletePeers,
	}
	for _, cmd := range root.Commands() {
		for flag, offer := range offers {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, offer) // fails for a flag that has one
			}
		}
		completeWords(cmd)
	}
	for path, offer := range map[string]cobra.CompletionFunc{"instance": f.completeInstances,
		"group": f.completeGroups} {
		if cmd, _, err := root.Find([]string{"show", path}); err == nil {
			cmd.ValidArgsFunction = once(offer)
		}
	}
}

// once offers a first argument, and no further one.
func once(offer cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(cmd, args, word)
	}
}

// completeWords completes the flags of a command that are one of some words, such as -o: these are
// their type, parted by |.
func completeWords(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if words := strings.Split(f.Value.Type(), "|"); len(words) > 1 {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, // fails for a flag that has one
				cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	})
}
