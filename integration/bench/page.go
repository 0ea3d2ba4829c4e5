package main

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/portcullis/portcullis/integration/benchfleet"
	"github.com/portcullis/portcullis/integration/measure"
)

// pageText is the page with holes for what was measured.
//
//go:embed performance.md.tmpl
var pageText string

// fleetText is its part about a fleet.
//
//go:embed fleet.md.tmpl
var fleetText string

// consoleText is its part about the console.
//
//go:embed console.md.tmpl
var consoleText string

// loadText is its part about load.
//
//go:embed load.md.tmpl
var loadText string

// measured is what the page is made of.
type measured struct {
	Folder string // of the plots, from the page
	Sizes  []*result
	Sweeps []swept
	Fleet  *fleetPart
	// Console is what command benchconsole has written, as it is.
	Console map[string]any
	Loads   []loaded
}

// fleetPart is what was measured of a fleet.
type fleetPart struct {
	*benchfleet.Result
	Folder string
}

// writePage makes the page, and the plots in the folder of the results. What was not measured is
// left out.
func writePage(path, results string) error {
	m, err := loadMeasured(results)
	if err != nil {
		return err
	}
	if m.Fleet != nil {
		if err := m.Fleet.Draw(results); err != nil {
			return err
		}
	}
	for _, s := range m.Sweeps {
		if err := s.draw(results); err != nil {
			return err
		}
	}
	page, err := pageTemplate()
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	var text strings.Builder
	if err := page.ExecuteTemplate(&text, "page", m); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// loadMeasured reads the results that are there.
func loadMeasured(results string) (measured, error) {
	m := measured{Folder: filepath.Base(results)}
	for _, name := range sizeNames() {
		r := &result{}
		if found, err := measure.Load(filepath.Join(results, name+".json"), r); err != nil {
			return m, err
		} else if found {
			m.Sizes = append(m.Sizes, r)
		}
	}
	for _, name := range sweepNames() {
		s := swept{}
		if found, err := measure.Load(filepath.Join(results, "sweep-"+name+".json"), &s); err != nil {
			return m, err
		} else if found {
			m.Sweeps = append(m.Sweeps, s)
		}
	}
	fleet := &benchfleet.Result{}
	if found, err := measure.Load(filepath.Join(results, fleetFile), fleet); err != nil {
		return m, err
	} else if found {
		m.Fleet = &fleetPart{fleet, m.Folder}
	}
	if _, err := measure.Load(filepath.Join(results, "console.json"), &m.Console); err != nil {
		return m, err
	}
	var err error
	m.Loads, err = loadLoads(results)
	return m, err
}

// pageTemplate is the page without what was measured.
func pageTemplate() (*template.Template, error) {
	page, err := template.New("page").Funcs(template.FuncMap{"verdicts": judge,
		"number": measure.Number, "significant": significant, "spread": loaded.spread,
		"mib":    func(b int64) int64 { return b >> 20 },
		"tables": func(r *result) []string { return slices.Sorted(maps.Keys(r.ByTable)) },
		"ratio":  func(f figure) string { return fmt.Sprintf("%.2f", f.ratio()) },
		"share":  func(p pair) string { return fmt.Sprintf("%.2f", p.ratio()) },
		"float":  func(n int) float64 { return float64(n) },
		"all":    (*result).figures, "budgets": func(f *fleetPart) []measure.Verdict { return benchfleet.Judge(f.Result) }}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	if _, err := page.New("fleet").Parse(fleetText); err != nil {
		return nil, err
	}
	if _, err := page.New("load").Parse(loadText); err != nil {
		return nil, err
	}
	return page.New("console").Parse(consoleText)
}

// draw makes the three plots of a dimension.
func (s swept) draw(folder string) error {
	lines := func(names []string, of func(*result) []float64) []measure.PlotLine {
		out := make([]measure.PlotLine, len(names))
		for i, name := range names {
			out[i].Name = name
			for _, p := range s.Points {
				out[i].Values = append(out[i].Values, of(p)[i])
			}
		}
		return out
	}
	plots := map[string]measure.Plot{
		"flows": {Title: "Flows", Unit: "flows",
			Lines: lines([]string{"flows"},
				func(r *result) []float64 { return []float64{float64(r.Flows)} })},
		"starts": {Title: "Starts", Unit: "ms",
			Lines: lines([]string{"cold start", "ovs-ofctl replace-flows of the same flows",
				"restart without change"},
				func(r *result) []float64 {
					return []float64{r.Starts[0].Median, r.Starts[0].Floor.Median, r.Starts[1].Median}
				})},
		"changes": {Title: "Changes", Unit: "ms",
			Lines: lines([]string{"member added", "member removed", "rule added", "bundle of one flow"},
				func(r *result) []float64 {
					return []float64{r.Changes[0].Median, r.Changes[1].Median, r.Changes[2].Median,
						r.Changes[0].Floor.Median}
				})},
	}
	for name, p := range plots {
		p.What, p.Values = s.What, s.Values
		file, err := os.Create(filepath.Join(folder, s.Name+"-"+name+".svg"))
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		if err := errors.Join(p.Write(file), file.Close()); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	return nil
}
