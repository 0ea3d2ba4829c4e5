package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// nasty are names that are markup, or mean something, in one of the formats.
var nasty = []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `a"b\n -> "c`,
	`</title></svg>`, `]]>&amp;&lt;`, "${7*7} {{.}}", `\`, `'; DROP`, "数据库-服务器-名前-とても長い名前です-データベース",
	strings.Repeat("long-", 50)}

// drawAnswer draws a policy of several groups with whatever names, and asks about it.
func drawAnswer(t *rapid.T) *matrix.Answer {
	p := &policy.Policy{}
	var names []string
	for n := range rapid.IntRange(1, 30).Draw(t, "groups") {
		names = append(names, fmt.Sprint("g", n))
	}
	for n, name := range nasty[:rapid.IntRange(0, min(len(names), len(nasty))).Draw(t, "nasty")] {
		names[n] = name
	}
	for n, name := range names {
		g := &policy.Group{Name: name, Rules: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Rule {
			return policytest.DrawRule(t, names)
		}), 0, 6).Draw(t, "rules")}
		p.Groups = append(p.Groups, g)
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprint("i", n),
			Groups: []string{name}, Ports: []policy.Port{{Name: fmt.Sprint("p", n),
				MAC: policy.MAC{2, 0, 0, 0, 0, byte(n)}, Addresses: policytest.Nets(fmt.Sprint("10.1.0.", n))}}})
	}
	a, err := matrix.Ask(p, matrix.Question{})
	require.NoError(t, err)
	return a
}

func drawPicture(t *rapid.T) Picture {
	p := Picture{Title: "of <everybody> & all", Answer: drawAnswer(t)}
	for n := range rapid.IntRange(0, 4).Draw(t, "changes") {
		end := func() string { return rapid.SampledFrom(p.Answer.Ends).Draw(t, "end").Name }
		p.Changes = append(p.Changes, Change{State: []State{Gained, Lost}[n%2], From: end(), To: end(),
			Direction: rapid.SampledFrom([]string{"ingress", "egress"}).Draw(t, "direction"),
			Services:  []string{"tcp/80"}})
	}
	return p
}

// No box covers another, no text leaves its box, and no arrow crosses a box.
func TestNothingOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := drawPicture(t).stage()
		require.NoError(t, err)
		l := s.layOut(topSize)
		for layer, nodes := range l.layers {
			for n, at := range nodes {
				require.GreaterOrEqual(t, at.y, margin)
				require.LessOrEqual(t, at.y+at.height, l.height)
				if n > 0 {
					require.GreaterOrEqual(t, at.y+0.001, nodes[n-1].y+nodes[n-1].height)
				}
				if at.box == nil {
					continue
				}
				require.LessOrEqual(t, at.box.width, l.widths[layer])
				require.LessOrEqual(t, l.columns[layer]+at.box.width, l.width)
				require.LessOrEqual(t, headSize+float64(len(at.box.rows)-1)*rowHeight+12, at.box.height)
				for _, r := range at.box.rows {
					require.LessOrEqual(t, float64(columns(r.text))*letter+2*padding, at.box.width)
				}
			}
			if layer > 0 && len(nodes) > 0 && len(l.layers[layer-1]) > 0 {
				require.GreaterOrEqual(t, l.columns[layer], l.columns[layer-1]+l.widths[layer-1]+channel)
			}
		}
		// between two layers an arrow is in their channel, within a layer in its own slot
		for n, path := range l.paths {
			for i, at := range path {
				require.Equal(t, i == 0 || i == len(path)-1, at.box != nil, "arrow %d", n)
				require.Equal(t, l.at(path[0])+i, l.at(at), "arrow %d leaves out a layer", n)
			}
		}
	})
}

// The same answer is the same bytes, and they are XML in which names are text.
func TestSVGIsXML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPicture(t)
		var out, again bytes.Buffer
		require.NoError(t, SVG(&out, p))
		require.NoError(t, SVG(&again, p))
		require.Equal(t, out.String(), again.String())
		known := map[string]bool{"svg": true, "title": true, "desc": true, "style": true, "g": true,
			"rect": true, "text": true, "path": true}
		decoder := xml.NewDecoder(&out)
		texts := ""
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			switch token := token.(type) {
			case xml.StartElement:
				require.True(t, known[token.Name.Local], token.Name.Local)
				for _, a := range token.Attr {
					require.False(t, strings.HasPrefix(a.Name.Local, "on"), a.Name.Local)
				}
			case xml.CharData:
				texts += string(token)
			}
		}
		for _, e := range p.Answer.Ends {
			if e.Kind == matrix.Group {
				require.Contains(t, texts, e.Name)
			}
		}
	})
}

// Each page is whole, and its script and markup are ours alone.
func TestPageIsOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		require.NoError(t, HTML(&out, drawPicture(t)))
		require.Equal(t, 2, strings.Count(out.String(), "<script"), "names became markup")
		require.NotContains(t, out.String(), "<img")
		require.NotContains(t, out.String(), "ZgotmplZ")
		require.Contains(t, out.String(), "default-src 'none'")
		require.NotContains(t, strings.ReplaceAll(out.String(), "http://www.w3.org/2000/svg", ""), "://")
	})
}

// Graphviz reads each graph. Without it the test says so.
func TestDOTIsRead(t *testing.T) {
	if _, err := exec.LookPath("dot"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "required here: graphviz (make setup)")
		t.Skip("SKIPPED, NOT TESTED: graphviz is not installed: ", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := drawPicture(t)
		var out, plain bytes.Buffer
		require.NoError(t, DOT(&out, p))
		cmd := exec.Command("gvpr", "-c", "N { print(\"n\") } E { print(\"e\") }")
		cmd.Stdin, cmd.Stdout = &out, &plain
		require.NoError(t, cmd.Run())
		s, err := p.stage()
		require.NoError(t, err)
		require.Equal(t, len(s.boxes), strings.Count(plain.String(), "n\n"))
		require.Equal(t, len(s.arrows), strings.Count(plain.String(), "e\n"))
	})
}

func TestTooManyGroups(t *testing.T) {
	p := Picture{Answer: &matrix.Answer{}}
	for n := range MostGroups + 1 {
		p.Answer.Ends = append(p.Answer.Ends, matrix.End{Name: fmt.Sprint("g", n), Kind: matrix.Group})
	}
	p.Answer.Arrows = []matrix.Arrow{{From: "g1", To: "g2", Direction: "ingress",
		Services: []string{"tcp/22"}}}
	var tooMany *ErrTooMany
	require.ErrorAs(t, SVG(io.Discard, p), &tooMany)
	require.ErrorContains(t, tooMany, "--group NAME")
	p.Around = []string{"g1"}
	var out bytes.Buffer
	require.NoError(t, SVG(&out, p))
	require.Contains(t, out.String(), ">from g1: tcp/22<")
	require.NotContains(t, out.String(), ">g3<")
}

// What is gained or lost says so in words, and is not told of twice.
func TestChangesAreDrawn(t *testing.T) {
	p := Picture{Answer: &matrix.Answer{Ends: []matrix.End{{Name: "web", Kind: matrix.Group},
		{Name: matrix.Outside, Kind: matrix.Network}}, Arrows: []matrix.Arrow{{From: matrix.Outside,
		To: "web", Direction: "ingress", Services: []string{"tcp/22", "tcp/80"}}}},
		Changes: []Change{{State: Gained, From: matrix.Outside, To: "web", Direction: "ingress",
			Services: []string{"tcp/22"}}, {State: Lost, From: "web", To: matrix.Outside,
			Direction: "egress", Services: []string{"any"}}}}
	var out bytes.Buffer
	require.NoError(t, SVG(&out, p))
	for _, text := range []string{">gained from outside: tcp/22<", ">from outside: tcp/80<",
		">lost to outside: any<", `class="arrow gained"`, `class="arrow lost"`} {
		require.Contains(t, out.String(), text)
	}
}

func TestRowsEnd(t *testing.T) {
	p := Picture{Answer: &matrix.Answer{Ends: []matrix.End{{Name: "web", Kind: matrix.Group}}}}
	for n := range 40 {
		p.Answer.Arrows = append(p.Answer.Arrows, matrix.Arrow{From: fmt.Sprint("10.0.0.", n), To: "web",
			Direction: "ingress", Services: []string{fmt.Sprint("tcp/", n+1)}})
	}
	s, err := p.stage()
	require.NoError(t, err)
	require.Len(t, s.boxes[0].rows, mostRows)
	require.Equal(t, "and 27 more", s.boxes[0].rows[mostRows-1].text)
	require.Contains(t, s.boxes[0].rows[mostRows-1].whole, "tcp/40")
	require.Equal(t, "tcp/1, tcp/2, +3", services([]string{"tcp/1", "tcp/2", "tcp/3", "tcp/4",
		"tcp/5"}, 17))
}
