package live

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// What status, connections and top share: an answer of the daemon is shown once or, with --watch,
// again and again. A daemon that does not answer is shown then, and asked again.

// view is how answers of the daemon are asked for and shown.
type view[T any] struct {
	format term.Format
	ask    func(context.Context) (*T, error)
	sheet  func(*T) term.Sheet        // for people
	advise func(failure error) string // the same of a daemon that does not answer
	failed func(failure error) *T     // for machines
	// what tells two answers apart where only changes are printed; nil = each is
	key     func(*T) string
	all     bool        // rows, however many there is room for
	timeout cli.Timeout // of each answer
}

// print shows one answer.
func (v view[T]) print(cmd *cobra.Command, answer *T) error {
	if v.format == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), answer)
	}
	return v.sheet(answer).Print(cmd.OutOrStdout(), v.all)
}

// watch shows answers at once and after each pause, until q or Ctrl-C.
func (v view[T]) watch(cmd *cobra.Command, pause time.Duration) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	w := cmd.OutOrStdout()
	if term.IsScreen(w, v.format) {
		if err := term.Live(ctx, w, ticker.C, v.look); !errors.Is(err, term.ErrNoScreen) {
			return err
		}
	}
	seen := changes{}
	return term.Blocks(ctx, w, v.format, ticker.C, func(ctx context.Context) (string, error) {
		answer, failure := v.ask(ctx)
		text, err := v.block(answer, failure)
		if v.key != nil && failure == nil {
			return seen.of(v.key(answer), text), err
		}
		return seen.of(text, text), err
	})
}

// look is one answer on a screen.
func (v view[T]) look(ctx context.Context) (term.Sheet, error) {
	answer, failure := v.ask(ctx)
	if failure != nil {
		return term.Sheet{Facts: []term.Fact{{Text: v.advise(failure), Colour: term.Red}}}, nil
	}
	return v.sheet(answer), nil
}

// block is one answer below the others: text for people, or one line of JSON.
func (v view[T]) block(answer *T, failure error) (string, error) {
	switch {
	case v.format != term.JSON && failure != nil:
		return v.advise(failure) + "\n", nil
	case v.format != term.JSON:
		return v.sheet(answer).Text(), nil
	case failure != nil:
		answer = v.failed(failure)
	}
	line, err := json.Marshal(answer)
	return string(line) + "\n", err
}

// changes leaves out what was shown last.
type changes struct{ last string }

// of is a text, or "" if what it is about was shown last.
func (c *changes) of(key, text string) string {
	if key == c.last {
		return ""
	}
	c.last = key
	return text
}
