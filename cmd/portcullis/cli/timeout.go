package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// The flag --timeout: how long each conversation with the daemon or the switch may take. What is
// computed here has no deadline, and none is shared.

// Timeout is how long one answer may take.
type Timeout time.Duration

// Flag adds --timeout to a command.
func (t *Timeout) Flag(cmd *cobra.Command, usual time.Duration) {
	cmd.Flags().DurationVar((*time.Duration)(t), "timeout", usual,
		"how long to wait for each answer of the daemon, or of the switch")
}

// Check refuses a timeout that nobody can keep.
func (t Timeout) Check() error {
	if t <= 0 {
		return fmt.Errorf("--timeout %s: want a time such as 30s", time.Duration(t))
	}
	return nil
}

// Begin is a context for one conversation with somebody.
func (t Timeout) Begin(ctx context.Context, who string) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	after := time.Duration(t)
	return context.WithTimeoutCause(ctx, after, &LateError{Who: who, After: after})
}

// LateError says who has not answered in time.
type LateError struct {
	Who   string
	After time.Duration
}

func (e *LateError) Error() string {
	return fmt.Sprintf("%s gave no answer within %s; --timeout waits longer", e.Who, e.After)
}

// Unwrap makes it the error of an ended context.
func (e *LateError) Unwrap() error { return context.DeadlineExceeded }

// Late returns the [LateError] of a conversation that ended because its time was over, and every
// other error as it is.
func Late(ctx context.Context, err error) error {
	late := new(LateError)
	if err != nil && errors.As(context.Cause(ctx), &late) {
		return late
	}
	return err
}
