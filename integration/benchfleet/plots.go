package benchfleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/portcullis/portcullis/integration/measure"
)

// The pictures of a fleet. The page calls this.

// Draw writes them into a folder.
func (r *Result) Draw(folder string) error {
	for name, p := range map[string]measure.Plot{"fanout": r.fanPlot(), "memory": r.memoryPlot(),
		"force": r.forcePlot(), "cpu": r.cpuPlot()} {
		if len(p.Values) == 0 {
			continue
		}
		file, err := os.Create(filepath.Join(folder, "fleet-"+name+".svg"))
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		if err := errors.Join(p.Write(file), file.Close()); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	return nil
}

// curve is a line of a plot, and what its values are of what was measured.
type curve[T any] struct {
	name string
	of   func(T) float64
}

// with adds curves over what was measured to a plot.
func with[T any](p measure.Plot, list []T, x func(T) int, curves ...curve[T]) measure.Plot {
	for _, c := range curves {
		p.Lines = append(p.Lines, measure.PlotLine{Name: c.name})
	}
	for _, v := range list {
		p.Values = append(p.Values, x(v))
		for n, c := range curves {
			p.Lines[n].Values = append(p.Lines[n].Values, c.of(v))
		}
	}
	return p
}

func (r *Result) fanPlot() measure.Plot {
	return with(measure.Plot{Title: "A change at the last of many clients", What: "clients",
		Unit: "ms"}, r.Fans, func(f Fan) int { return f.Clients },
		curve[Fan]{"a change, until the last has it", func(f Fan) float64 { return f.Last.Median }},
		curve[Fan]{"as many echoes at one time", func(f Fan) float64 { return f.Echoes.Median }})
}

func (r *Result) memoryPlot() measure.Plot {
	return with(measure.Plot{Title: "Memory of a host's daemon", What: "ports of all hosts",
		Unit: "MiB"}, r.Hosts, func(h Host) int { return h.World.Ports },
		curve[Host]{"policy in a database", func(h Host) float64 { return mib(h.Database.Resident) }},
		curve[Host]{"policy in a file", func(h Host) float64 { return mib(h.File.Resident) }})
}

func (r *Result) forcePlot() measure.Plot {
	return with(measure.Plot{Title: "A change in force, all hosts on one machine", What: "hosts",
		Unit: "ms"}, r.Daemons, func(d Daemons) int { return d.Hosts },
		curve[Daemons]{"on all", func(d Daemons) float64 { return d.Added.Median }},
		curve[Daemons]{"on half of all", func(d Daemons) float64 { return d.Middle.Median }})
}

func (r *Result) cpuPlot() measure.Plot {
	return with(measure.Plot{Title: "Processor time of a change at one host", What: "hosts",
		Unit: "ms"}, r.Daemons, func(d Daemons) int { return d.Hosts },
		curve[Daemons]{"daemon", func(d Daemons) float64 { return d.CPU }},
		curve[Daemons]{"Open vSwitch", func(d Daemons) float64 { return d.SwitchCPU }})
}
