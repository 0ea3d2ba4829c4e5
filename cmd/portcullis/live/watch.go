package live

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// What status and top share with --watch: they ask again and again, and a daemon that does not
// answer is shown, and asked again.

// watch prints what look returns, at once and after each pause, until Ctrl-C.
func watch(cmd *cobra.Command, f term.Format, pause time.Duration,
	look func(context.Context) (string, error)) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	return term.Watch(ctx, cmd.OutOrStdout(), f, ticker.C, look)
}

// shown is how answers of the daemon are shown.
type shown[T any] struct {
	format term.Format
	text   func(*T) string            // for people
	advise func(failure error) string // the same of a daemon that does not answer
	failed func(failure error) *T     // for machines
}

// block is what one answer gives: text for people, or one line of JSON.
func (s shown[T]) block(answer *T, failure error) (string, error) {
	switch {
	case s.format != term.JSON && failure != nil:
		return s.advise(failure) + "\n", nil
	case s.format != term.JSON:
		return s.text(answer), nil
	case failure != nil:
		answer = s.failed(failure)
	}
	line, err := json.Marshal(answer)
	return string(line) + "\n", err
}

// changes leaves out what was shown last.
type changes struct{ last string }

func (c *changes) of(text string) string {
	if text == c.last {
		return ""
	}
	c.last = text
	return text
}
