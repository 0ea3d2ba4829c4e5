package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// One line on a terminal that says what a command does, if it takes long. It is gone when the
// answer comes; a pipe never sees it.

// progressAfter is how long a command may be silent.
const progressAfter = 2 * time.Second

// clearLine takes the cursor to the first column and erases the line (ECMA-48, EL).
const clearLine = "\r\x1b[K"

// Progress tells what is being done.
type Progress struct {
	out io.Writer // nil = nobody is told

	mu    sync.Mutex
	stage string
	shown bool
	timer *time.Timer
}

// NewProgress begins work that may take long. Its end is told by End.
func NewProgress(stderr io.Writer) *Progress {
	if !term.IsTerminal(stderr) {
		return &Progress{}
	}
	return progressOn(stderr)
}

func progressOn(out io.Writer) *Progress {
	p := &Progress{out: out}
	p.timer = time.AfterFunc(progressAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.out != nil && p.stage != "" {
			p.shown = true
			p.print()
		}
	})
	return p
}

// Stage says what is done from now on: "reading the policy".
func (p *Progress) Stage(text string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage = fmt.Sprintf(text, args...)
	if p.shown {
		p.print()
	}
}

func (p *Progress) print() { fmt.Fprintf(p.out, "%s%s …", clearLine, p.stage) }

// Ending is an output at whose first byte the line is taken away.
type Ending struct {
	io.Writer
	Work *Progress
}

// Write ends the work and writes.
func (e Ending) Write(text []byte) (int, error) {
	e.Work.End()
	return e.Writer.Write(text)
}

// End takes the line away. It may be called again.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.shown {
		fmt.Fprint(p.out, clearLine)
	}
	p.out, p.shown = nil, false
}
