// Package measure is what the benchmarks share: series and what they come to, what processes use,
// plots, and where results are kept. Nothing of it knows what is measured.
package measure
