package files

import (
	"bytes"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/history"
)

// The command history: the policies that were in force, from the store. No daemon is asked.

const historyHelp = "History lists the policies that were in force here, the last first: number, when " +
	"it came into force, who changed which files, and who gained and\n" +
	"lost access by it. With a number it tells all that is kept of one. 'found' is what stood in the " +
	"policy's place when it was replaced.\n\n" +
	"How many are kept is in the settings (history). Who is the owner of the files that changed, or " +
	"who called apply or rollback.\n\n" +
	"Exit codes: 0 listed; 1 none is kept, or one cannot be read."

// NewHistory makes the command history.
func NewHistory(f *cli.Files) *cobra.Command {
	limit, out := 20, term.Table
	cmd := &cobra.Command{
		Use:     "history [GENERATION]",
		Short:   "List the policies that were in force, and who gained and lost access",
		Long:    historyHelp,
		Example: "  portcullis history\n  portcullis history 12\n  portcullis history -n 0 -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := 0
			if len(args) == 1 {
				var err error
				if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
					return fmt.Errorf("%q is no number of a generation", args[0])
				}
			}
			settings, err := f.Settings()
			if err != nil {
				return cli.Outcome(err)
			}
			store := openStore(settings)
			if number > 0 {
				return cli.Outcome(showGeneration(cmd, store, number, out))
			}
			return cli.Outcome(listGenerations(cmd, store, limit, out))
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "list at most this many; 0 = all")
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

func listGenerations(cmd *cobra.Command, store *history.Store, limit int, out term.Format) error {
	all, err := store.List()
	if len(all) == 0 && err == nil {
		return fmt.Errorf("%w in %s", history.ErrNone, store.Dir())
	}
	slices.Reverse(all)
	more := 0
	if limit > 0 && len(all) > limit {
		all, more = all[:limit], len(all)-limit
	}
	if out == term.JSON {
		if printErr := term.PrintJSON(cmd.OutOrStdout(), all); printErr != nil {
			return printErr
		}
		return err
	}
	var b bytes.Buffer
	t := term.Columns(&b)
	fmt.Fprintln(t, "GENERATION\tSINCE\tBY\tFILES\tACCESS")
	for i, g := range all {
		var before *history.Generation
		if i+1 < len(all) {
			before = &all[i+1]
		}
		changed := changedFiles(g, before)
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", g.Number, g.At.Local().Format(time.DateTime),
			author(g, changed), fileNames(changed), accessText(g))
	}
	t.Flush()
	if more > 0 {
		fmt.Fprintf(&b, "and %d more: portcullis history -n 0\n", more)
	}
	if _, printErr := cmd.OutOrStdout().Write(b.Bytes()); printErr != nil {
		return printErr
	}
	return err
}

// changedFiles are the files that the generation before has not.
func changedFiles(g history.Generation, before *history.Generation) (out []history.File) {
	for _, f := range g.Files {
		if before == nil || !slices.ContainsFunc(before.Files, func(o history.File) bool {
			return o.Name == f.Name && o.Sum == f.Sum
		}) {
			out = append(out, f)
		}
	}
	return out
}

// author is who made a generation, as far as anybody knows.
func author(g history.Generation, changed []history.File) string {
	if g.By != "" {
		return g.By
	}
	var names []string
	for _, f := range changed {
		name := "user " + strconv.FormatUint(uint64(f.UID), 10)
		if u, err := user.LookupId(strconv.FormatUint(uint64(f.UID), 10)); err == nil {
			name = u.Username
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return orDash(strings.Join(names, ", "))
}

func fileNames(files []history.File) string {
	const most = 3
	var names []string
	for i, f := range files {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(files)-most))
			break
		}
		names = append(names, f.Name)
	}
	return orDash(strings.Join(names, ", "))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// accessText is a generation's access in one short line.
func accessText(g history.Generation) string {
	var parts []string
	if g.Kind == history.Found {
		parts = append(parts, "found, not in force")
	}
	if g.Note != "" && g.Kind == history.InForce {
		parts = append(parts, g.Note)
	}
	switch a := g.Access; {
	case a == nil:
	case a.Gained+a.Lost+a.Ports == 0:
		parts = append(parts, "nobody gains or loses")
	default:
		parts = append(parts, fmt.Sprintf("%d gained, %d lost", a.Gained, a.Lost))
		if a.Ports > 0 {
			parts = append(parts, "ports changed")
		}
	}
	return orDash(strings.Join(parts, "; "))
}

func showGeneration(cmd *cobra.Command, store *history.Store, number int, out term.Format) error {
	g, err := store.Get(number)
	if err != nil {
		return err
	}
	if _, err := store.Texts(g); err != nil {
		return err
	}
	if out == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), g)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "generation %d, %s since %s, of %s\n", g.Number, g.Kind,
		g.At.Local().Format(time.DateTime), g.Source)
	if g.By != "" || g.Note != "" {
		fmt.Fprintln(w, strings.Trim(g.Note+", by "+orDash(g.By), ", "))
	}
	for _, f := range g.Files {
		fmt.Fprintf(w, "  %s: %d bytes, written %s by %s\n", f.Name, f.Size,
			f.Changed.Local().Format(time.DateTime), author(history.Generation{}, []history.File{f}))
	}
	if g.Access != nil {
		for _, line := range g.Access.Lines {
			fmt.Fprintln(w, line)
		}
	}
	return nil
}
