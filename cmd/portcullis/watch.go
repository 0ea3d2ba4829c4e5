package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/portcullis/portcullis/controller/api"
)

// watchPause is how often the daemon is asked, and so how often at most something is printed.
const watchPause = time.Second

// clearScreen empties a terminal and puts the cursor into its corner (ECMA-48).
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// watcher prints the status whenever it has changed.
type watcher struct {
	out     io.Writer
	format  format
	explain func(error) error // puts into words that the daemon does not answer
	ticks   <-chan time.Time
	stop    func()
	last    string
}

func newWatcher(out io.Writer, f format, explain func(error) error) *watcher {
	ticker := time.NewTicker(watchPause)
	return &watcher{out: out, format: f, explain: explain, ticks: ticker.C, stop: ticker.Stop}
}

// run goes on until ctx ends, and returns nil then. A daemon that does not answer is shown, and asked again; that nobody reads any more is
// an error.
func (w *watcher) run(ctx context.Context, client *api.Client) error {
	defer w.stop()
	for {
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		status, err := client.Status(asked)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err := w.show(status, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.ticks:
		}
	}
}

// show prints what is new.
func (w *watcher) show(status *api.Status, failure error) error {
	text, err := w.text(status, failure)
	if err != nil || text == w.last {
		return err
	}
	isFirst := w.last == ""
	w.last = text
	switch {
	case w.format == formatJSON:
	case isTerminal(w.out):
		text = clearScreen + text
	case isFirst:
	default:
		text = "\n" + text
	}
	_, err = io.WriteString(w.out, text)
	return err
}

// text is one block, or in JSON one line; a daemon that does not answer is {"version": "v1", "state": "unknown", "error": …} there.
func (w *watcher) text(status *api.Status, failure error) (string, error) {
	switch {
	case w.format == formatJSON && failure != nil:
		status = &api.Status{Version: api.Version, State: "unknown", Error: failure.Error()}
	case failure != nil:
		return paintFor(w.out).line(red, w.explain(failure).Error()) + "\n", nil
	}
	if w.format != formatJSON {
		return statusText(status, paintFor(w.out)), nil
	}
	line, err := json.Marshal(status)
	if err != nil {
		return "", fmt.Errorf("write the status: %w", err)
	}
	return string(line) + "\n", nil
}
