package draw

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"slices"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
)

// A picture as a page: one file that asks nobody for anything, with the table beside the picture,
// and what can be pointed at.

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// page is what the template writes.
type page struct {
	Title          string
	Style          template.CSS
	Script         template.JS
	ScriptHash     string // for the page's own rule about what may run
	Picture        template.HTML
	Columns        []string
	Rows           []tableRow
	Data           pageData
	Notes          []string
	Gained, Lost   bool
	Groups, Arrows int
}

// tableRow is a line of the table.
type tableRow struct {
	Name  string
	Cells []tableCell
}

type tableCell struct {
	From, To       string
	Services, Some []string
}

// pageData is what the page's script reads.
type pageData struct {
	Boxes    []boxData           `json:"boxes"`
	Arrows   []arrowData         `json:"arrows"`
	Services map[string][]string `json:"services"` // what names stand for
}

type boxData struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Kind  string `json:"kind"`
}

type arrowData struct {
	From      int           `json:"from"`
	To        int           `json:"to"`
	Direction string        `json:"direction"`
	State     State         `json:"state"`
	Lacks     string        `json:"lacks"`
	Reason    string        `json:"reason"`
	Services  []string      `json:"services"`
	Rules     []matrix.Rule `json:"rules"`
}

// HTML writes a picture as a page. The error is an [*ErrTooMany], or of the writer.
func HTML(w io.Writer, p Picture) error {
	s, err := p.stage()
	if err != nil {
		return err
	}
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(pageScript))
	out := page{Title: p.Title, Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		ScriptHash: "sha256-" + base64.StdEncoding.EncodeToString(hash[:]),
		Picture:    template.HTML(s.layOut(0).svg(p.Title, choice)), Data: s.data(), Notes: p.Notes,
		Arrows: len(s.arrows)}
	for _, a := range s.arrows {
		out.Gained, out.Lost = out.Gained || a.state == Gained, out.Lost || a.state == Lost
	}
	for _, b := range s.boxes {
		if b.kind == matrix.Group {
			out.Groups++
		}
	}
	out.table(p)
	return t.Execute(w, out)
}

// table fills the page's table; around some ends it has their lines and their columns.
func (out *page) table(p Picture) {
	cells := map[[2]string]matrix.Row{}
	touched := map[string]bool{}
	for _, c := range p.Answer.Cells {
		if p.isAround(c.From, c.To) {
			cells[[2]string{c.From, c.To}] = c
			touched[c.From], touched[c.To] = true, true
		}
	}
	rows, columns := p.Answer.Lines()
	not := func(name string) bool { return !touched[name] }
	rows, out.Columns = slices.DeleteFunc(rows, not), slices.DeleteFunc(columns, not)
	for _, r := range rows {
		line := tableRow{Name: r}
		for _, c := range out.Columns {
			cell := cells[[2]string{r, c}]
			line.Cells = append(line.Cells, tableCell{r, c, cell.Services, cell.Some})
		}
		out.Rows = append(out.Rows, line)
	}
}

// data is the scene for the page's script.
func (s *scene) data() pageData {
	d := pageData{Boxes: []boxData{}, Arrows: []arrowData{}, Services: map[string][]string{}}
	for _, b := range s.boxes {
		d.Boxes = append(d.Boxes, boxData{b.name, b.about, b.kindOf()})
	}
	for _, a := range s.arrows {
		rules := a.rules
		if rules == nil {
			rules = []matrix.Rule{}
		}
		d.Arrows = append(d.Arrows, arrowData{a.from, a.to, a.direction, a.state, a.lacks, a.reason,
			a.services, rules})
	}
	d.Services = policy.ServiceWords()
	return d
}
