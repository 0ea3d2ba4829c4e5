package term

import (
	"context"
	"io"
	"time"
)

// clearScreen empties a terminal and puts the cursor into its corner (ECMA-48).
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// Watch prints what look returns, at once and at each tick, until ctx ends, and returns nil then:
// on a terminal in place of what was there, else one block behind the other, and JSON line by line.
// An empty text is not printed. That nobody reads any more is an error.
func Watch(ctx context.Context, w io.Writer, f Format, ticks <-chan time.Time,
	look func(context.Context) (string, error)) error {
	first, next := "", "\n"
	switch {
	case f == JSON:
		next = ""
	case isTerminal(w):
		first, next = clearScreen, clearScreen
	}
	for before := first; ; {
		text, err := look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && text != "" {
			_, err = io.WriteString(w, before+text)
			before = next
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
	}
}
