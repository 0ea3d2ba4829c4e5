package term

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
)

// Live shows sheets on a terminal until somebody has seen enough. It has the whole screen, and
// leaves it as it was. watch.go calls it where a person looks.

// keyHelp is in the last line.
const keyHelp = "q quit  s sort  / filter  ↑↓ scroll"

// live is what is on the screen.
type live struct {
	screen  tcell.Screen
	colours bool
	sheet   Sheet
	look    Look
	typing  bool   // the filter is being written
	typed   string // so far
}

// looked is one answer of what is looked at.
type looked struct {
	sheet Sheet
	err   error
}

// Live shows what look returns, at once and at each tick, until q or Ctrl-C is pressed or ctx ends,
// and returns nil then. An error of look ends it. The other error is a terminal that cannot do
// that.
func Live(ctx context.Context, w io.Writer, ticks <-chan time.Time,
	look func(context.Context) (Sheet, error)) error {
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoScreen, err)
	}
	defer screen.Fini()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &live{screen: screen, colours: PaintFor(w).On}
	return l.run(ctx, looks(ctx, ticks, look))
}

// looks asks again and again, beside what is on the screen.
func looks(ctx context.Context, ticks <-chan time.Time,
	look func(context.Context) (Sheet, error)) <-chan looked {
	out := make(chan looked)
	go func() {
		for {
			sheet, err := look(ctx)
			select {
			case out <- looked{sheet, err}:
			case <-ctx.Done():
				return
			}
			select {
			case <-ticks:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// run draws until the end.
func (l *live) run(ctx context.Context, answers <-chan looked) error {
	events, ended := make(chan tcell.Event), make(chan struct{})
	defer close(ended)
	go l.screen.ChannelEvents(events, ended)
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		case answer := <-answers:
			if answer.err != nil {
				return answer.err
			}
			l.sheet = answer.sheet
			for i := range l.sheet.Grids {
				l.sheet.Grids[i].Hint = ""
			}
		case event := <-events:
			if l.handle(event) {
				return nil
			}
		}
		l.draw(time.Now())
	}
}

// handle follows a key or a new size, and says whether somebody has seen enough.
func (l *live) handle(event tcell.Event) (enough bool) {
	switch e := event.(type) {
	case *tcell.EventResize:
		l.screen.Sync()
	case *tcell.EventKey:
		if e.Key() == tcell.KeyCtrlC {
			return true
		}
		if l.typing {
			l.write(e)
			return false
		}
		return l.press(e)
	}
	return false
}

// press follows a key.
func (l *live) press(e *tcell.EventKey) (enough bool) {
	_, height := l.screen.Size()
	key := e.Rune()
	if e.Key() != tcell.KeyRune {
		key = 0
	}
	switch {
	case key == 'q':
		return true
	case e.Key() == tcell.KeyEscape:
		l.look.Filter, l.look.Skip = "", 0
	case key == 's':
		l.look.Sort = next(l.sheet.titles(), l.look.Sort)
	case key == '/':
		l.typing, l.typed = true, l.look.Filter
	case e.Key() == tcell.KeyDown, key == 'j':
		l.scroll(1)
	case e.Key() == tcell.KeyUp, key == 'k':
		l.scroll(-1)
	case e.Key() == tcell.KeyPgDn, key == ' ':
		l.scroll(height / 2)
	case e.Key() == tcell.KeyPgUp:
		l.scroll(-height / 2)
	case e.Key() == tcell.KeyHome, key == 'g':
		l.look.Skip = 0
	}
	return false
}

// write takes a key of the filter.
func (l *live) write(e *tcell.EventKey) {
	switch e.Key() {
	case tcell.KeyEnter:
		l.typing = false
	case tcell.KeyEscape:
		l.typing, l.typed = false, ""
	case tcell.KeyBackspace, tcell.KeyBackspace2:
		runes := []rune(l.typed)
		l.typed = string(runes[:max(0, len(runes)-1)])
	case tcell.KeyRune:
		l.typed += string(e.Rune())
	}
	l.look.Filter, l.look.Skip = l.typed, 0
}

func (l *live) scroll(rows int) {
	most := 0
	for _, g := range l.sheet.Grids {
		most = max(most, len(g.filtered(l.look.Filter).Rows)-1)
	}
	l.look.Skip = max(0, min(most, l.look.Skip+rows))
}

// titles are what can be sorted by, each once.
func (s Sheet) titles() (out []string) {
	seen := map[string]bool{}
	for _, g := range s.Grids {
		for _, c := range g.Columns {
			if !seen[c.Title] {
				seen[c.Title] = true
				out = append(out, c.Title)
			}
		}
	}
	return out
}

// next is what follows in a list; behind the last comes "", which is no order of ours.
func next(titles []string, now string) string {
	for i, title := range titles {
		switch {
		case now == "":
			return title
		case title == now && i+1 < len(titles):
			return titles[i+1]
		}
	}
	return ""
}

// draw fills the screen; the last line is about the keys, with a clock.
func (l *live) draw(now time.Time) {
	width, height := l.screen.Size()
	l.screen.Clear()
	if height < 1 || width < 1 {
		return
	}
	for y, line := range l.sheet.Fit(Size{width, max(1, height-1)}, l.look) {
		if y < height-1 {
			l.put(y, line.Text, l.style(line.Colour), width)
		}
	}
	l.put(height-1, l.footer(now, width), tcell.StyleDefault.Reverse(true), width)
	l.screen.Show()
}

// footer is the last line.
func (l *live) footer(now time.Time, width int) string {
	left := keyHelp
	switch {
	case l.typing:
		left = "/" + l.typed + "_  (Enter keeps it, Esc ends it)"
	default:
		if l.look.Sort != "" {
			left += "  by " + strings.ToLower(l.look.Sort)
		}
		if l.look.Filter != "" {
			left += "  /" + l.look.Filter
		}
		if l.look.Skip > 0 {
			left += fmt.Sprintf("  %d above", l.look.Skip)
		}
	}
	clock := now.Format(time.TimeOnly)
	if width <= len(clock)+1 {
		return pad("", width, false)
	}
	return pad(cut(left, width-len(clock)-1), width-len(clock), false) + clock
}

func (l *live) style(colour string) tcell.Style {
	colours := map[string]tcell.Color{Red: tcell.ColorMaroon, Green: tcell.ColorGreen,
		Yellow: tcell.ColorOlive}
	if c, ok := colours[colour]; ok && l.colours {
		return tcell.StyleDefault.Foreground(c)
	}
	return tcell.StyleDefault
}

// put writes a line.
func (l *live) put(y int, text string, style tcell.Style, width int) {
	x := 0
	for g := uniseg.NewGraphemes(text); g.Next() && x+g.Width() <= width; x += g.Width() {
		runes := g.Runes()
		l.screen.SetContent(x, y, runes[0], runes[1:], style)
	}
}
