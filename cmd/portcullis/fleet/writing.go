package fleet

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// How every command changes a policy database: the plan first, a question on a terminal, one
// change, and what is waited for then. Invariant: what is written is what was shown: where somebody
// else changed the policy after the question, and it would mean something else now, it is asked
// again.

// Writing is how a command changes a policy database: what its flags say. The zero Writing asks
// nothing, and waits for nothing.
type Writing struct {
	Out     term.Format
	Project string
	DryRun  bool
	Yes     bool
	Wait    bool
	Confirm time.Duration
	Timeout time.Duration // of Wait

	size int // how many objects may be written, where they may be many
}

// AddTo gives a command the flags of all commands that change a policy database.
func (w *Writing) AddTo(cmd *cobra.Command) {
	w.Out = term.Table
	cmd.Flags().VarP(&w.Out, "output", "o", "format")
	cmd.Flags().BoolVar(&w.DryRun, "dry-run", false, "say what it would change, and change nothing")
	cmd.Flags().DurationVar(&w.Confirm, "confirm", 0,
		"take it back after this time, such as 60s, unless it is confirmed; 0 = nobody has to")
	cmd.Flags().DurationVar(&w.Timeout, "timeout", 30*time.Second, "with --wait: how long")
	w.addRest(cmd)
}

// addRest adds the flags that apply and rollback have for databases only.
func (w *Writing) addRest(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.Yes, "yes", "y", false, "change it without a question on a terminal")
	cmd.Flags().BoolVar(&w.Wait, "wait", false,
		"until it is in force on every host that has a port, or say on which it is not")
	cmd.Flags().StringVar(&w.Project, "project", "",
		"as somebody of this `PROJECT`, who changes nothing of others and learns nothing of them")
}

// shortestTrial is the least that anybody can confirm in.
const shortestTrial = time.Second

func (w *Writing) check() error {
	if w.Confirm != 0 && (w.Confirm < shortestTrial || w.Confirm > generation.LongestTrial) {
		return fmt.Errorf("--confirm %s: want a time from %s to %s, such as 60s", w.Confirm,
			shortestTrial, generation.LongestTrial)
	}
	return nil
}

// applied is what all these commands answer as JSON.
type applied struct {
	Generation int             `json:"generation"` // that is in the database now
	IsChanged  bool            `json:"changed"`
	IsPlanned  bool            `json:"planned,omitempty"` // nothing was written
	Gained     int             `json:"gained"`
	Lost       int             `json:"lost"`
	Access     []string        `json:"access"`
	Trial      *policydb.Trial `json:"trial,omitempty"`
	Outcome    string          `json:"outcome,omitempty"` // of the trial: confirmed, taken back
	Hosts      *statusdb.Fleet `json:"hosts,omitempty"`   // with --wait: how they stand to it
}

// writing is one change in the making.
type writing struct {
	*Writing
	applied
	cmd    *cobra.Command
	client cli.Store
	from   string // what the history says
	edit   policydb.Edit
	asked  excerpt.Asked // the part that the edit can be made of
	like   string        // which policy it makes, in words; "" = nothing is said
	ends   int           // the generation on trial that it may follow
	shown  []string      // what the question was about; nil = nothing was asked
}

// Do makes a change; from is what the history says it came from. The words of the edit, if it has
// any, are what the history says of it beside who gained and who lost.
func (w *Writing) Do(cmd *cobra.Command, db cli.Database, from string, edit policydb.Edit) error {
	return w.DoPart(cmd, db, from, excerpt.Asked{}, edit)
}

// DoPart is Do for an edit that can be made of a part of the policy.
func (w *Writing) DoPart(cmd *cobra.Command, db cli.Database, from string, asked excerpt.Asked,
	edit policydb.Edit) error {
	if err := w.check(); err != nil {
		return err
	}
	return cli.WithStore(cmd.Context(), db, func(ctx context.Context, c cli.Store) error {
		one := w.newWriting(cmd, db, c, from, edit)
		one.asked = asked
		return one.do(ctx)
	})
}

func (w *Writing) newWriting(cmd *cobra.Command, db cli.Database, c cli.Store, from string,
	edit policydb.Edit) *writing {
	one := &writing{Writing: w, cmd: cmd, client: c, from: from, edit: edit}
	one.IsPlanned, one.Access = w.DryRun, []string{}
	return one
}

func (w *writing) do(ctx context.Context) error {
	if w.DryRun {
		if err := w.plan(); err != nil {
			return err
		}
		return w.print()
	}
	for {
		if err := w.ask(); err != nil {
			return err
		}
		err := w.change(ctx)
		if !errors.Is(err, errOtherPlan) {
			return err
		}
		fmt.Fprintf(w.cmd.ErrOrStderr(), "%v; now it would be:\n", err)
	}
}

// errOtherPlan says that a change would mean something else than what was shown.
var errOtherPlan = errors.New("somebody else has changed the policy meanwhile")

// explained is an edit that keeps what it means.
func (w *writing) explained(current *policy.Policy) (*policy.Policy, string, error) {
	next, words, err := w.edit(current)
	if err != nil {
		return nil, "", err
	}
	access := generation.InWords(explain.CompareAccess(current, next))
	w.Gained, w.Lost = access.Gained, access.Lost
	w.Access = append([]string{}, access.Lines...)
	w.IsChanged = !slices.Equal(current.Projects, next.Projects) ||
		!slices.Equal(current.Groups, next.Groups) ||
		!slices.Equal(current.Instances, next.Instances)
	if w.shown != nil && !slices.Equal(w.shown, w.Access) {
		return nil, "", errOtherPlan
	}
	if words != "" {
		words += "\n"
	}
	return next, words + access.Summary(), nil
}

// plan says what the change would be.
func (w *writing) plan() error {
	if c := w.planner(); c != nil {
		return w.planPart(c)
	}
	generation, err := w.client.Plan(w.newChange(), w.explained)
	w.Generation = generation
	return err
}

// ask shows the plan on a terminal, and asks.
func (w *writing) ask() error {
	in, ok := w.cmd.InOrStdin().(*os.File)
	if w.Yes || w.Out == term.JSON || !ok || !xterm.IsTerminal(int(in.Fd())) {
		return nil
	}
	w.shown = nil
	if err := w.plan(); err != nil || !w.IsChanged {
		return err
	}
	out := w.cmd.ErrOrStderr()
	for _, line := range w.Access {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "%d gain, %d lose. Change generation %d? [y/N] ", w.Gained, w.Lost, w.Generation)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); err != nil || word != "y" && word != "yes" {
		return fmt.Errorf("nothing was written: generation %d stays", w.Generation)
	}
	w.shown = w.Access
	return nil
}

// changeTime is how long a database may take to make a change, whoever else makes one: with its
// majority gone it makes none, and that is to be said.
const changeTime = 15 * time.Second

// objectTime is how much longer it may take for each object of a large one.
const objectTime = time.Millisecond

// change makes it, and waits for what it is to wait for.
func (w *writing) change(ctx context.Context) error {
	limit := cmp.Or(min(w.Timeout, changeTime), changeTime) + time.Duration(w.size)*objectTime
	changing, cancel := context.WithTimeout(ctx, limit)
	made, err := w.make(changing)
	cancel()
	if err != nil {
		return err
	}
	if w.Generation = made; w.IsChanged && w.Confirm > 0 {
		if w.Trial, err = w.client.OnTrial(); err != nil {
			return err
		}
	}
	if w.Out != term.JSON {
		if err := w.print(); err != nil {
			return err
		}
	}
	if w.Wait {
		err = w.awaitHosts(ctx)
	}
	if w.Trial != nil {
		err = cmp.Or(w.await(ctx), err)
	}
	if w.Out == term.JSON {
		return cmp.Or(w.print(), err)
	}
	return err
}

// awaitHosts waits until the policy is in force on every host that has a port. What is not, and
// why, is the answer: the exit code says that there is some.
func (w *writing) awaitHosts(ctx context.Context) error {
	hosts, err := w.client.Hosts(ctx, w.Generation, w.Timeout)
	if err != nil {
		return err
	}
	w.Hosts = &hosts
	missing := hosts.Missing()
	if w.Out != term.JSON {
		fmt.Fprintln(w.cmd.OutOrStdout(), inForce(hosts, len(missing)))
		for _, h := range missing {
			fmt.Fprintf(w.cmd.OutOrStdout(), "not on %s (%s): %s\n", h.Name,
				wording.Count(h.PortsPlaced, "port"), h.Why)
		}
	}
	if len(missing) > 0 {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

func (w *writing) print() error {
	out := w.cmd.OutOrStdout()
	if w.Out == term.JSON {
		return term.PrintJSON(out, w.applied)
	}
	for _, line := range w.Access {
		if w.shown == nil {
			fmt.Fprintln(out, line)
		}
	}
	switch {
	case !w.IsChanged:
		fmt.Fprintf(out, "unchanged: generation %d says all of it already\n", w.Generation)
	case w.IsPlanned:
		fmt.Fprintf(out, "nothing was written: generation %d stays; %d would gain, %d lose\n",
			w.Generation, w.Gained, w.Lost)
	case w.like != "":
		fmt.Fprintf(out, "generation %d: %s\n", w.Generation, w.like)
	default:
		fmt.Fprintf(out, "generation %d: %d gained, %d lost\n", w.Generation, w.Gained, w.Lost)
	}
	return nil
}

// newChange says who asks for a change.
func (w *writing) newChange() policydb.Change {
	change := newChange(w.from)
	change.Trial, change.Project, change.Ends = w.Confirm, w.Project, w.ends
	return change
}

func newChange(from string) policydb.Change {
	return policydb.Change{ID: rand.Text(), At: time.Now(), By: cli.Who(), From: from}
}
