// Mistakes and warnings with their places, and how they are collected and ordered. One line each,
// whatever the file holds.

package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Error is one mistake in a file or in the environment.
type Error struct {
	// where it was written; the zero Position if it comes from the environment or from no line
	At policy.Position
	// Field is the path of the field, such as groups[2].rules[0].ports, counted from 0, or the name
	// of an environment variable. Empty if the mistake is no field's.
	Field   string
	Message string // what is wrong and what would be right
}

// Error returns one line: position, field, message.
func (e Error) Error() string { return oneLine(e.At, e.Field, e.Message) }

// Warning is something that is valid and was accepted, but is hardly meant as it was written. Its
// fields are those of [Error].
type Warning struct {
	At      policy.Position
	Field   string
	Message string
}

// String returns one line: position, field, message.
func (w Warning) String() string { return oneLine(w.At, w.Field, w.Message) }

func oneLine(at policy.Position, field, message string) string {
	var parts []string
	if at != (policy.Position{}) {
		parts = append(parts, at.String())
	}
	if field != "" {
		parts = append(parts, field)
	}
	return strings.Join(append(parts, message), ": ")
}

// Errors are all the mistakes that were found, in the order of files and lines. Who reads settings
// or policy files returns them as the error when a file could be read but is not valid; use
// [errors.As] to get at the list.
type Errors []Error

// Error returns one line per mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each mistake visible to [errors.As].
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// Warnings are all that was accepted with a doubt, in the order of files and lines.
type Warnings []Warning

// Report collects what is found in one file.
type Report struct {
	Errors   Errors
	Warnings Warnings
}

// Errorf adds a mistake.
func (r *Report) Errorf(at Location, format string, args ...any) {
	r.Errors = append(r.Errors, Error{at.Pos, at.Path.String(), fmt.Sprintf(format, args...)})
}

// Warnf adds a warning.
func (r *Report) Warnf(at Location, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{at.Pos, at.Path.String(), fmt.Sprintf(format, args...)})
}

// Sorted returns the errors and warnings by file, line and column. Equal places keep their order.
func (r *Report) Sorted() (Errors, Warnings) {
	slices.SortStableFunc(r.Errors, func(a, b Error) int { return comparePosition(a.At, b.At) })
	slices.SortStableFunc(r.Warnings, func(a, b Warning) int { return comparePosition(a.At, b.At) })
	return r.Errors, r.Warnings
}

func comparePosition(a, b policy.Position) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Column, b.Column))
}

// Location is where a value stands: its position in the file and its path in the document.
type Location struct {
	Pos  policy.Position
	Path *Path
}

// Path is the way from the top of a document to a value. It is kept as links because it is printed
// only when something is wrong.
type Path struct {
	parent *Path
	key    string // of a mapping; "" = the entry of a list
	index  int    // of a list, from 0
}

// String returns for example groups[2].rules[0].ports. The nil path, the document itself, is empty.
func (p *Path) String() string {
	switch {
	case p == nil:
		return ""
	case p.key == "":
		return fmt.Sprintf("%s[%d]", p.parent, p.index)
	case p.parent == nil:
		return p.key
	}
	return p.parent.String() + "." + p.key
}
