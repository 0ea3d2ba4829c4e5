package measure

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/template"
)

// Plot is lines over one dimension, as an SVG of its own.
type Plot struct {
	Title, What, Unit string
	Values            []int
	Lines             []PlotLine
}

// PlotLine is one of them, with a value for each of the dimension's.
type PlotLine struct {
	Name   string
	Values []float64
}

// The picture, in pixels. The colours can be told apart by everybody (Okabe and Ito).
const (
	plotWidth, plotHeight            = 640, 360
	plotLeft, plotRight              = 70, 20
	plotTop, plotBottom              = 40, 50
	plotTicks                        = 5
	plotPaper, plotInk, plotGridline = "#ffffff", "#333333", "#dddddd"
)

func plotColours() []string { return []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"} }

// Write draws the plot. Both axes begin at 0, so that what grows by a sum is a straight line.
func (p Plot) Write(out io.Writer) error {
	maxX, maxY := 0, 0.0
	for _, v := range p.Values {
		maxX = max(maxX, v)
	}
	for _, l := range p.Lines {
		for _, v := range l.Values {
			maxY = max(maxY, v)
		}
	}
	maxY = roundUp(maxY)
	d := drawing{Plot: p, x: scale{plotLeft, plotWidth - plotRight, roundUp(float64(maxX))},
		y: scale{plotHeight - plotBottom, plotTop, maxY}}
	return plotTemplate().Execute(out, d.shapes())
}

// scale maps 0 to from, and most to to.
type scale struct{ from, to, most float64 }

func (s scale) at(v float64) float64 {
	if s.most == 0 {
		return s.from
	}
	return s.from + (s.to-s.from)*v/s.most
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50 ...
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 2.5, 5, 10} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

type drawing struct {
	Plot
	x, y scale
}

// The parts of a drawing.
type (
	shapes struct {
		Width, Height          int
		Paper, Ink, Gridline   string
		Left, Right, Top, Base float64
		Title, What, Unit      string
		XTicks, YTicks         []tick
		Lines                  []line
	}
	tick struct {
		At   float64
		Text string
	}
	line struct {
		Name, Colour, Points string
		Dots                 [][2]float64
		LegendY              float64
	}
)

func (d drawing) shapes() shapes {
	s := shapes{Width: plotWidth, Height: plotHeight, Paper: plotPaper, Ink: plotInk,
		Gridline: plotGridline,
		Left:     plotLeft, Right: plotWidth - plotRight, Top: plotTop, Base: plotHeight - plotBottom,
		Title: d.Title, What: d.What, Unit: d.Unit}
	for i := range plotTicks + 1 {
		x, y := d.x.most*float64(i)/plotTicks, d.y.most*float64(i)/plotTicks
		s.XTicks = append(s.XTicks, tick{d.x.at(x), Number(x)})
		s.YTicks = append(s.YTicks, tick{d.y.at(y), Number(y)})
	}
	for i, l := range d.Lines {
		drawn := line{Name: l.Name, Colour: plotColours()[i%len(plotColours())],
			LegendY: plotTop + 16*float64(i+1)}
		var points []string
		for j, v := range l.Values {
			x, y := d.x.at(float64(d.Values[j])), d.y.at(v)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			drawn.Dots = append(drawn.Dots, [2]float64{x, y})
		}
		drawn.Points = strings.Join(points, " ")
		s.Lines = append(s.Lines, drawn)
	}
	return s
}

// Number writes 12000 as 12,000 and 2.5 as 2.5.
func Number(v float64) string {
	if v < 1000 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plotTemplate() *template.Template {
	return template.Must(
		template.New("plot").Parse(
			`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" font-family="sans-serif" font-size="12" fill="{{.Ink}}">
<rect width="100%" height="100%" fill="{{.Paper}}"/>
<text x="{{.Left}}" y="20" font-size="14">{{html .Title}}</text>
{{- $s := .}}
{{- range .YTicks}}
<line x1="{{$s.Left}}" x2="{{$s.Right}}" y1="{{printf "%.1f" .At}}" y2="{{printf "%.1f" .At}}" stroke="{{$s.Gridline}}"/><text x="{{$s.Left}}" dx="-6" dy="4" y="{{printf "%.1f" .At}}" text-anchor="end">{{.Text}}</text>
{{- end}}
{{- range .XTicks}}
<text x="{{printf "%.1f" .At}}" y="{{$s.Base}}" dy="18" text-anchor="middle">{{.Text}}</text>
{{- end}}
<text x="{{.Right}}" y="{{.Height}}" dy="-10" text-anchor="end">{{html .What}}</text>
<text x="{{.Left}}" y="{{.Top}}" dx="-6" dy="-6" text-anchor="end">{{html .Unit}}</text>
{{- range .Lines}}
<polyline points="{{.Points}}" fill="none" stroke="{{.Colour}}" stroke-width="2"/>
{{- $c := .Colour}}
{{- range .Dots}}<circle cx="{{printf "%.1f" (index . 0)}}" cy="{{printf "%.1f" (index . 1)}}" r="3" fill="{{$c}}"/>{{end}}
<rect x="{{$s.Left}}" y="{{.LegendY}}" width="12" height="3" transform="translate(12,-5)" fill="{{.Colour}}"/><text x="{{$s.Left}}" dx="30" y="{{.LegendY}}">{{html .Name}}</text>
{{- end}}
</svg>
`))
}
