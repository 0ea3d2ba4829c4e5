package measure

// Series of measurements, and what they come to. Both benchmarks call this.

import (
	"math"
	"slices"
	"time"
)

// Series are measurements of one thing, in the order they were made.
type Series []float64

// Add adds a measurement.
func (s *Series) Add(d time.Duration) { *s = append(*s, Milliseconds(d)) }

// Milliseconds is a time as the results have it.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Quantile returns the value that a part q of the measurements does not exceed; 0 of none.
func (s Series) Quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// Median is the middle of the measurements; 0 of none.
func (s Series) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Timing sums up a series.
type Timing struct {
	Samples int     `json:"samples"`
	Median  float64 `json:"median_ms"`
	P99     float64 `json:"p99_ms"`
}

// Timing is the series, summed up.
func (s Series) Timing() Timing { return Timing{len(s), s.Median(), s.Quantile(0.99)} }
