package main

// What command benchload has measured, for the page. writePage calls it.

import (
	"fmt"
	"path/filepath"

	"github.com/portcullis/portcullis/integration/measure"
)

// loaded is what the page has of a run under load.
type loaded struct {
	Machine  measure.Machine `json:"machine"`
	Linux    string          `json:"linux"`
	Datapath string          `json:"datapath"`
	Scenario struct{ Ports, Members, Groups int }
	Rounds   int                                  `json:"rounds"`
	Each     float64                              `json:"each_s"`
	Sides    []string                             `json:"sides"`
	Flows    map[string]int                       `json:"flows"`
	Figures  map[string]map[string]measure.Series `json:"figures"`
	Rows     []struct {
		Name            string
		Medians, Ratios []float64
	} `json:"rows"`
}

// spread is between what the rounds have found of a new connection's CPU time through the pipeline.
func (l loaded) spread() string {
	found := l.Figures["new connection, CPU, µs"]["Portcullis"]
	return fmt.Sprintf("%s to %s µs", significant(found.Quantile(0)), significant(found.Quantile(1)))
}

// loadLoads reads the results of both datapaths, as far as they are there.
func loadLoads(results string) (all []loaded, err error) {
	for _, datapath := range []string{"kernel", "userspace"} {
		var l loaded
		found, err := measure.Load(filepath.Join(results, "load-"+datapath+".json"), &l)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, l)
		}
	}
	return all, nil
}

// significant is a number of any size for people, of three digits or more.
func significant(v float64) string {
	switch {
	case v == 0 || v >= 100:
		return measure.Number(float64(int64(v + 0.5)))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
