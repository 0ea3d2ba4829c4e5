package draw

import (
	"fmt"
	"io"
	"strings"

	"github.com/portcullis/portcullis/flows/matrix"
)

// DOT writes a picture as a graph in the language of Graphviz. The error is an [*ErrTooMany], or of
// the writer.
func DOT(w io.Writer, p Picture) error {
	s, err := p.stage()
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "digraph portcullis {\n  label=%s;\n  rankdir=LR;\n"+
		"  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n",
		quoted(p.Title))
	for _, box := range s.boxes {
		label, style := box.name, "rounded"
		if box.about != "" {
			label += "\n" + box.about
		}
		if box.kind != matrix.Group {
			style = "dashed"
		}
		fmt.Fprintf(&b, "  n%d [label=%s, style=%q];\n", box.number, quoted(label), style)
	}
	for n := range s.arrows {
		a := &s.arrows[n]
		label, more := strings.Join(a.services, ", "), ""
		switch {
		case a.state == Gained:
			label, more = "gained "+label, ", color=\"#16723a\", penwidth=3"
		case a.state == Lost:
			label, more = "lost "+label, ", color=\"#b3261e\", style=dashed"
		case a.lacks != "":
			more = ", style=dotted"
		}
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s, tooltip=%s%s];\n", a.from, a.to, quoted(label),
			quoted(s.whole(a)), more)
	}
	b.WriteString("}\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// quoted makes a text one of DOT: nothing in it means anything but itself.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}
