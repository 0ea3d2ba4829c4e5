package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes on trial: what the command that made one waits for, and the command confirm. A command
// that is killed changes nothing: beside each member of the database runs who takes the change
// back.

// Confirm lets the command confirm keep the change on trial of a database.
func Confirm(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd.Use = "confirm [GENERATION]"
	cmd.Long += "\n\nWith --db it is the change on trial of a policy database; where a generation is " +
		"named, only if that is the one."
	cmd.Example += "\n  portcullis confirm 12 --db unix:/run/portcullis/db.sock"
	if cmd.Flags().Lookup("undo") == nil {
		panic("confirm has no flag undo") // it is written into the program
	}
	database.Add(cmd, f, cobra.MaximumNArgs(1), func(cmd *cobra.Command, db cli.Database,
		args []string) error {
		number, err := generationOf(args)
		if err != nil {
			return err
		}
		return cli.WithStore(cmd.Context(), db, func(ctx context.Context,
			c cli.Store) error {
			if cmd.Flags().Lookup("undo").Value.String() == "true" {
				return takeBack(ctx, cmd, c, number)
			}
			trial, err := c.OnTrial()
			switch {
			case err != nil:
				return err
			case trial == nil:
				return policydb.ErrNoTrial
			case number > 0 && number != trial.Generation:
				return &policydb.OtherTrialError{Named: number, OnTrial: trial.Generation}
			}
			kept, err := c.Confirm(ctx, trial.Generation)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "confirmed: generation %d stays\n", kept)
			}
			return err
		})
	})
	return cmd
}

// takeBack ends a trial before its time; 0 = whichever there is.
func takeBack(ctx context.Context, cmd *cobra.Command, c cli.Store, number int) error {
	trial, err := c.OnTrial()
	switch {
	case err != nil:
		return err
	case trial == nil:
		return policydb.ErrNoTrial
	case number == 0:
		number = trial.Generation
	}
	made, err := c.Abandon(ctx, newChange("confirm --undo"), number, "taken back")
	if err == nil {
		like := fmt.Sprintf("as in generation %d", number-1)
		if made > number+1 {
			like = fmt.Sprintf("generation %d is taken back, what was changed beside it stays", number)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "generation %d: %s\n", made, like)
	}
	return err
}

const (
	lookPause = 200 * time.Millisecond // between two looks at a trial
	// grace is how long the end of a trial is left to whoever keeps the database.
	grace = 2 * time.Second
)

// await waits until the trial is confirmed, here or elsewhere, or taken back. Where nobody keeps
// the database it takes the change back itself.
func (w *writing) await(ctx context.Context) error {
	enter := make(chan struct{}, 1)
	how := "'portcullis confirm' keeps it"
	if in, ok := w.cmd.InOrStdin().(*os.File); ok && xterm.IsTerminal(int(in.Fd())) {
		how = "Enter here, or " + how
		go func() {
			if _, err := io.ReadFull(in, make([]byte, 1)); err == nil {
				enter <- struct{}{}
			}
		}()
	}
	fmt.Fprintf(w.cmd.ErrOrStderr(), "on trial, and taken back at %s: %s\n",
		w.Trial.Until.Local().Format(time.TimeOnly), how)
	over := time.NewTimer(w.Confirm + grace)
	defer over.Stop()
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("generation %d is on trial still: %w", w.Generation, ctx.Err())
		case <-enter:
			_, err := w.client.Confirm(ctx, w.Trial.Generation)
			if err != nil && !errors.Is(err, policydb.ErrNoTrial) { // else over says how it ended
				return err
			}
		case <-over.C:
			_, err := w.client.Abandon(ctx, newChange(w.from), w.Trial.Generation,
				fmt.Sprintf("not confirmed within %s", w.Confirm))
			if err != nil && !errors.Is(err, policydb.ErrNoTrial) {
				return err
			}
		case <-tick.C:
			if isOver, err := w.over(); isOver {
				return err
			}
		}
	}
}

// over says how the trial has ended, if it has. A database that does not answer is asked again.
func (w *writing) over() (isOver bool, err error) {
	trial, err := w.client.OnTrial()
	if err != nil || trial != nil && trial.Generation == w.Trial.Generation {
		return false, nil
	}
	list, err := w.client.History()
	if err != nil {
		return false, nil
	}
	if err := policydb.Stood(list, w.Trial.Generation); err != nil {
		w.Outcome = "taken back"
		tried := policydb.Entry{Generation: w.Trial.Generation, ConfirmBy: w.Trial.Until}
		w.Generation = policydb.EndedBy(list, tried)
		return true, err
	}
	if w.Outcome = "confirmed"; w.Out != term.JSON {
		fmt.Fprintf(w.cmd.OutOrStdout(), "confirmed: generation %d stays\n", w.Trial.Generation)
	}
	return true, nil
}
