// Command benchconsole measures the web console against its budgets: Debian's Chromium, the real
// `portcullis serve`, a real policy database, and policies of some sizes. It prints a table, and
// writes what docs/performance.md is made of. `make bench-console` calls it.
//
//	benchconsole             the table, docs/performance/console.json
//	benchconsole -strict     exit code 1 if a budget is missed
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// The budgets.
const (
	maxFirstBytes = 60    // KB
	maxBundle     = 150   // KB
	maxFirst      = 1_000 // ms
	maxPicture    = 200   // ms
	maxTask       = 200   // ms
	maxKey        = 100   // ms
	maxJump       = 500   // ms
)

// figure is one thing that was measured.
type figure struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Budget  float64 `json:"budget,omitempty"` // 0 = it has none
	Median  float64 `json:"median"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	Samples int     `json:"samples"`
}

// Verdict is the word for it.
func (f figure) Verdict() string {
	switch {
	case f.Budget == 0:
		return ""
	case f.Median <= f.Budget:
		return "met"
	}
	return "missed"
}

// String is the figure as a line of the table.
func (f figure) String() string {
	budget := ""
	if f.Budget > 0 {
		budget = fmt.Sprintf("≤ %g %s", f.Budget, f.Unit)
	}
	return fmt.Sprintf("%s\t%.1f %s\t%.1f–%.1f\t%s\t%s", f.Name, f.Median, f.Unit, f.Least, f.Most,
		budget, f.Verdict())
}

// result is what the page is made of.
type result struct {
	Machine measure.Machine `json:"machine"`
	Browser string          `json:"browser"`
	Took    float64         `json:"took_s"`
	Figures []figure        `json:"figures"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-console:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a budget was missed")

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("benchconsole", flag.ContinueOnError)
	program := set.String("program", filepath.Join("bin", "portcullis"), "the program")
	dist := set.String("dist", filepath.Join("controller", "console", "dist"), "the bundle")
	to := set.String("results", filepath.Join("docs", "performance"), "the folder of the JSON file")
	strict := set.Bool("strict", false, "exit with 1 if a budget is missed")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	began := time.Now()
	r := result{Machine: measure.ThisMachine(ctx, tool, *program)}
	r.Browser, _ = tool(ctx, "chromium", "--version") // without one the scenes say so
	err := measure.During(func(s *measure.Shim) (err error) {
		r.Figures, err = measureAll(ctx, s, *program, *dist)
		return err
	})
	if err != nil {
		return err
	}
	r.Took = time.Since(began).Seconds()
	missed := printTable(out, r)
	if err := measure.Save(filepath.Join(*to, "console.json"), r); err != nil {
		return err
	}
	if missed && *strict {
		return errMissed
	}
	return nil
}

// tool runs a command.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	return strings.TrimSpace(string(text)), err
}

// measureAll runs each scene.
func measureAll(ctx context.Context, s *measure.Shim, program, dist string) ([]figure, error) {
	p, err := newPlace(ctx, s, program)
	if err != nil {
		return nil, err
	}
	browser, err := newBrowser(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("chromium: %w", err)
	}
	b := &bench{place: p, shim: s, browser: browser, dist: dist}
	for _, one := range scenes() {
		if err := p.put(ctx, one.policy()); err != nil {
			return nil, err
		}
		for _, part := range one.parts {
			if err := part(b); err != nil {
				return nil, err
			}
		}
	}
	return b.figures, nil
}

// printTable prints the figures, and says whether a budget was missed.
func printTable(out io.Writer, r result) (missed bool) {
	fmt.Fprintf(out, "console: %s, %d cores; %s; %.0f s; medians of %d\n\n", r.Machine.Processor,
		r.Machine.Cores, r.Browser, r.Took, samples)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tmedian\tleast–most\tbudget\t")
	for _, f := range r.Figures {
		fmt.Fprintln(w, f)
		missed = missed || f.Verdict() == "missed"
	}
	_ = w.Flush()
	return missed
}
