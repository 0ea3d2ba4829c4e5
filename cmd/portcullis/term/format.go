// Package term writes for people and machines: formats, tables, colours, and what is watched. All
// commands print by it; it knows nothing of what they print.
package term

import (
	"encoding/json"
	"errors"
	"io"
	"text/tabwriter"
)

// Format is how something is listed; it implements pflag.Value.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
)

// String returns the format's name.
func (f *Format) String() string { return string(*f) }

// Type is what the help calls the value.
func (f *Format) Type() string { return "table|json" }

// Set accepts the name of a format.
func (f *Format) Set(s string) error {
	if got := Format(s); got != Table && got != JSON {
		return errors.New("want table or json")
	}
	*f = Format(s)
	return nil
}

// PrintJSON writes a value for machines.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Columns aligns what is written to it in columns, which tabs end, when it is flushed.
func Columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }
