package term

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Watch is what commands with --watch do. Where a person looks it is Live, else Blocks.

// ErrNoScreen says that a terminal has no screen that can be written at will.
var ErrNoScreen = errors.New("no screen")

// IsScreen says whether a person looks at a terminal that can show one sheet in place of another.
func IsScreen(w io.Writer, f Format) bool {
	return f != JSON && IsTerminal(w) && os.Getenv("TERM") != "dumb"
}

// Blocks prints what look returns, at once and at each tick, until ctx ends, and returns nil then:
// one block behind the other, and JSON line by line. An empty text is not printed. That nobody
// reads any more is an error.
func Blocks(ctx context.Context, w io.Writer, f Format, ticks <-chan time.Time,
	look func(context.Context) (string, error)) error {
	next := "\n"
	if f == JSON {
		next = ""
	}
	for before := ""; ; {
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
