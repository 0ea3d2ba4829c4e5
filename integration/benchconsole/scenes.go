package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
)

// What is measured. main.go runs the scenes one after the other, on one server and one browser.

// samples is how often each thing is measured: what is told is the median.
const samples = 5

// bench measures.
type bench struct {
	*place
	shim    *measure.Shim
	browser context.Context
	dist    string // the folder of the bundle
	figures []figure
}

// add adds a figure, and says it, as the whole takes its time.
func (b *bench) add(name, unit string, budget float64, of measure.Series) {
	f := figure{Name: name, Unit: unit, Budget: budget, Median: of.Median(), Least: of.Quantile(0),
		Most: of.Quantile(1), Samples: len(of)}
	b.figures = append(b.figures, f)
	fmt.Fprintln(os.Stderr, f)
}

// scene is a policy, and what is measured while it is the one of the server.
type scene struct {
	policy func() *policy.Policy
	parts  []func(*bench) error
}

func scenes() []scene {
	const groups, instances, many = 30, 10_000, 50_000
	return []scene{
		{func() *policy.Policy { return edges(groups, 100) }, []func(*bench) error{
			picture("30 groups, 100 random edges", 0)}},
		{func() *policy.Policy { return tiers(groups-5, 60) }, []func(*bench) error{ // and networks
			picture("30 boxes of tiers, 91 rules", maxPicture)}},
		{func() *policy.Policy { return tiers(100, instances) }, []func(*bench) error{
			(*bench).bundle, first("10,000 instances", true)}},
		{func() *policy.Policy { return tiers(3000, many) }, []func(*bench) error{
			first("50,000 instances, 3,000 groups", false), (*bench).neighbourhoods, (*bench).typing,
			(*bench).jumps}},
	}
}

// bundle is all that the console has.
func (b *bench) bundle() error {
	files, err := filepath.Glob(filepath.Join(b.dist, "assets", "*.gz"))
	if err != nil {
		return err
	}
	var bytes int64
	for _, name := range append(files, filepath.Join(b.dist, "index.html.gz")) {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("%w: want the bundle of 'make build'", err)
		}
		bytes += info.Size()
	}
	b.add("bundle, gzip", "KB", maxBundle, measure.Series{float64(bytes) / 1000})
	return nil
}

// first opens the first page in browsers that have never been there.
func first(what string, withBytes bool) func(*bench) error {
	return func(b *bench) error {
		for _, path := range []string{"/", "/instances"} {
			var took, ours, data measure.Series
			for range samples {
				t, err := newTab(b.browser, b.shim, b.place)
				if err != nil {
					return err
				}
				if err := t.visit(path); err != nil {
					return err
				}
				got, err := eval[[]float64](t, `bench.rows.then((at) => [at, bench.bytes(true) / 1000,
					bench.bytes(false) / 1000])`)
				if err != nil {
					return err
				}
				took, ours, data = append(took, got[0]), append(ours, got[1]), append(data, got[2])
			}
			b.add(path+" usable, nothing in the cache: "+what, "ms", maxFirst, took)
			if withBytes {
				b.add(path+" stands: page, scripts, styles, gzip", "KB", maxFirstBytes, ours)
				b.add(path+" stands: data", "KB", 0, data)
			}
		}
		return nil
	}
}

// picture draws all of a policy, from when its data are there.
func picture(what string, budget float64) func(*bench) error {
	return func(b *bench) error {
		t, err := newTab(b.browser, b.shim, b.place)
		if err != nil {
			return err
		}
		var took, tasks measure.Series
		for range samples {
			if err := t.visit("/picture"); err != nil {
				return err
			}
			got, err := eval[[]float64](t, `bench.picture.then((at) => new Promise((done) =>
				setTimeout(() => done([at - bench.answered("/v1/groups"),
					bench.longest(bench.answered("/v1/groups"))]), 500)))`)
			if err != nil {
				return err
			}
			took, tasks = append(took, got[0]), append(tasks, got[1])
		}
		b.add("picture, from data to drawn: "+what, "ms", budget, took)
		b.add("its longest task on the main thread", "ms", maxTask, tasks)
		return nil
	}
}

// neighbourhoods chooses groups among thousands.
func (b *bench) neighbourhoods() error {
	t, err := newTab(b.browser, b.shim, b.place)
	if err != nil {
		return err
	}
	if err := t.visit("/picture"); err != nil {
		return err
	}
	const field = `document.querySelector('input[placeholder="all groups"]')`
	if _, err := eval[float64](t, "bench.once(() => "+field+")"); err != nil {
		return err
	}
	var took, tasks measure.Series
	for n := range samples + 1 {
		name := tierName(300*n + n%3)
		if _, err := eval[bool](t, fmt.Sprintf(`(window.near = bench.once(() => bench.hasBox(%s)),
			%s.focus(), document.activeElement.select(), true)`, quoted(name), field)); err != nil {
			return err
		}
		if _, err := chromedp.Call(t.ctx, input.InsertText, input.InsertTextParams{Text: name}); err != nil {
			return err
		}
		got, err := eval[[]float64](t, `near.then((at) => new Promise((done) => setTimeout(() =>
			done([at - bench.written, bench.longest(bench.written)]), 500)))`)
		if err != nil {
			return err
		}
		if n > 0 { // the first one starts the worker that lays out
			took, tasks = append(took, got[0]), append(tasks, got[1])
		}
	}
	b.add("what is around a group of 3,000, from its name to drawn", "ms", maxPicture, took)
	b.add("its longest task on the main thread", "ms", maxTask, tasks)
	return nil
}

// typing types into each field that looks for something.
func (b *bench) typing() error {
	for _, f := range []struct{ what, path, ready, field, text string }{
		{"search", "/", "main tbody tr", "#search", "shop-123"},
		{"filter of groups", "/", "main tbody tr", "main input[type=search]", "shop-123"},
		{"filter of instances", "/instances", "main tbody tr", "main input[type=search]", "vm-1234"},
		{"service of the picture", "/picture?group=" + tierName(30), "svg.picture .box",
			`input[placeholder="ssh, tcp/443"]`, "tcp/5432"},
	} {
		t, err := newTab(b.browser, b.shim, b.place)
		if err != nil {
			return err
		}
		var most measure.Series
		for range samples {
			if err := t.visit(f.path); err != nil {
				return err
			}
			if _, err := eval[float64](t, "bench.once(() => document.querySelector("+quoted(f.ready)+
				"))"); err != nil {
				return err
			}
			longest, err := t.types(f.field, f.text)
			if err != nil {
				return fmt.Errorf("%s: %w", f.what, err)
			}
			most = append(most, longest)
		}
		b.add("longest from key to next frame, "+f.what, "ms", maxKey, most)
	}
	return nil
}

// jumps goes to far places of a matrix that has a line and a column for each of thousands.
func (b *bench) jumps() error {
	t, err := newTab(b.browser, b.shim, b.place)
	if err != nil {
		return err
	}
	if err := t.visit("/matrix"); err != nil {
		return err
	}
	if _, err := eval[float64](t, "bench.once(bench.isKnown)"); err != nil {
		return err
	}
	var took measure.Series
	for n := range samples {
		one, err := eval[float64](t, fmt.Sprintf("bench.jump(%g)", float64(n*7%10+2)/12))
		if err != nil {
			return err
		}
		took = append(took, one)
		time.Sleep(pause)
	}
	b.add("matrix of 3,000 by 3,000, from a jump to its cells", "ms", maxJump, took)
	return nil
}
