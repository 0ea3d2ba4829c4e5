// Package measure is what the benchmarks share: series and what they come to, what processes use,
// plots, where results are kept, and what ends of traffic have in common. Nothing of it knows what
// is measured.
package measure
