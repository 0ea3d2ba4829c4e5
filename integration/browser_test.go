//go:build integration

package integration

// The page of `portcullis matrix -o html` in a real browser: Debian's Chromium, driven by its own
// protocol. The browser ends with each test.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	asks "github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// browserTime is how long one test may take with its browser, on a machine that is busy.
const browserTime = 3 * time.Minute

// shown is a page in a browser, with what it asked for and complained of.
type shown struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	asked []string // addresses
	said  []string // errors and what the console has
}

// show serves a page and opens it.
func show(t *testing.T, text string) *shown {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return visit(t, server.URL+"/", "#details h2")
}

// visit opens a page, and waits for an element of it.
func visit(t *testing.T, address, ready string) *shown {
	t.Helper()
	requireTool(t, "chromium")
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(browserTime))
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	s := &shown{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, s.hear))
	s.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address),
		chromedp.WaitReady(chromedp.CSS(ready)))
	return s
}

func (s *shown) hear(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *asks.EventRequestWillBeSent:
		s.asked = append(s.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		s.said = append(s.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		s.said = append(s.said, fmt.Sprint(e.Type))
	case *log.EventEntryAdded:
		s.said = append(s.said, e.Entry.Text)
	}
}

func (s *shown) do(actions ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	require.NoError(s.t, chromedp.Do(s.ctx, actions...))
}

// eval returns what an expression of the page's script is.
func eval[T any](s *shown, expression string) T {
	s.t.Helper()
	out, err := chromedp.Run(s.ctx, chromedp.Evaluate[T](expression))
	require.NoError(s.t, err, expression)
	return out
}

// text is what an element shows.
func (s *shown) text(selector string) string {
	s.t.Helper()
	return eval[string](s, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// pointAt moves the mouse to the middle of an element.
func (s *shown) pointAt(expression string) {
	s.t.Helper()
	at := eval[[]float64](s, fmt.Sprintf(`(() => { const e = %s; e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`,
		expression))
	s.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
}

// requireQuiet fails if the page asked for anything but itself, or complained.
func (s *shown) requireQuiet() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(s.t, s.asked, 1, "%v", s.asked)
	require.Empty(s.t, s.said)
}

// drawn is the page that the program makes of a policy.
func drawn(t *testing.T, policy string, args ...string) string {
	t.Helper()
	out, err := exec.Command(daemon(t), append([]string{"matrix", "-o", "html", "--policy", policy},
		args...)...).Output()
	require.NoError(t, err)
	return string(out)
}

const examplePolicy = "../docs/examples/policy.yaml"

// A page that is opened asks for nothing and says nothing; and what a script in it would ask for,
// the page's own rule forbids.
func TestBrowser_PageAsksForNothing(t *testing.T) {
	s := show(t, drawn(t, examplePolicy))
	s.requireQuiet()
	require.Equal(t, "Who reaches whom", s.text("h1"))
	require.Equal(t, 5, eval[int](s, "document.querySelectorAll('g.box.network, g.box.group').length - 2"),
		"three groups, two sources and two destinations")
	forbidden := eval[string](s, `fetch("/elsewhere").then(() => "answered", () => "forbidden")`+
		`.then((x) => { window.answer = x; }), "asked"`)
	require.Equal(t, "asked", forbidden)
	answer, err := chromedp.Run(s.ctx, chromedp.Poll[string]("window.answer"))
	require.NoError(t, err)
	require.Equal(t, "forbidden", answer)
}

// What is pointed at, chosen or gone to by the keyboard tells its rules, with file and line.
func TestBrowser_RulesAreTold(t *testing.T) {
	s := show(t, drawn(t, examplePolicy))
	require.Contains(t, s.text("#details"), "Nothing is chosen")
	const top = "document.querySelector('table').getBoundingClientRect().top + scrollY"
	before := eval[float64](s, top)
	s.pointAt(`[...document.querySelectorAll("text.row")].find((r) => r.textContent.includes("tcp/3306"))`)
	require.Contains(t, s.text("#details"), "backend: ingress tcp 3306 from group frontend")
	require.Contains(t, s.text("#details"), "policy.yaml:14:9")
	require.Equal(t, before, eval[float64](s, top), "what is told moves what is pointed at")
	require.Equal(t, 1, eval[int](s, "document.querySelectorAll('g.arrow.on').length"))
	s.pointAt("document.querySelector('header')")
	require.Contains(t, s.text("#details"), "Nothing is chosen")

	// by the keyboard alone
	s.do(chromedp.Focus(chromedp.CSS("g.box.group")), chromedp.KeyEvent(kb.Enter))
	require.Contains(t, s.text("#details h2"), "frontend")
	require.Contains(t, s.text("#details"), "frontend: ingress tcp 80 from 0.0.0.0/0")
	s.pointAt("document.querySelector('td[data-from=management][data-to=backend]')")
	require.Contains(t, s.text("#details h2"), "frontend", "what Enter keeps is not let go")
	s.do(chromedp.KeyEvent(kb.Tab))
	require.NotEqual(t, "BODY", eval[string](s, "document.activeElement.tagName"))
	s.do(chromedp.KeyEvent(kb.Escape))
	require.Contains(t, s.text("#details"), "Nothing is chosen")
	require.Equal(t, eval[int](s, "document.querySelectorAll('g.arrow, g.box').length"),
		eval[int](s, "document.querySelectorAll('g[tabindex=\"0\"][aria-label]').length"))

	s.do(chromedp.Click(chromedp.CSS("td[data-from=management][data-to=backend]")))
	require.Contains(t, s.text("#details h2"), "management → backend")
	require.Contains(t, s.text("#details"), "policy.yaml:15:9")
	s.requireQuiet()
}

func TestBrowser_Filter(t *testing.T) {
	s := show(t, drawn(t, examplePolicy))
	found := func() []string {
		return eval[[]string](s, `[...document.querySelectorAll("td.found")]`+
			`.map((c) => c.dataset.from + " " + c.dataset.to)`)
	}
	s.do(chromedp.KeyEvent("/"))
	require.Equal(t, "filter", eval[string](s, "document.activeElement.id"))
	require.Empty(t, eval[string](s, "document.activeElement.value"))
	ask := func(word string) {
		require.True(t, eval[bool](s, "document.activeElement.select() === undefined"))
		s.do(chromedp.KeyEvent(word))
	}
	for _, c := range []struct {
		word string
		want []string
	}{
		{"mysql", []string{"frontend backend", "frontend outside", "frontend 203.0.113.1",
			"backend backend", "management outside", "management 203.0.113.1"}},
		{"ssh", []string{"frontend outside", "frontend 203.0.113.1", "backend backend",
			"management frontend", "management backend", "management outside",
			"management 203.0.113.1", "198.51.100.0/24 management"}},
		{"icmp", []string{"frontend outside", "frontend 203.0.113.1", "management outside",
			"management 203.0.113.1"}},
		{"nonsense/", []string{}},
	} {
		ask(c.word)
		require.Equal(t, c.want, found(), c.word)
	}
	require.Contains(t, s.text("#found"), "write tcp/22")
	ask("tcp/3306")
	require.Equal(t, []string{"backend, ingress from frontend: tcp/3306",
		"backend, ingress from itself: tcp, udp", "backend, egress to itself: tcp, udp"},
		eval[[]string](s, `[...document.querySelectorAll("g.arrow.found > title")]`+
			`.map((a) => a.textContent)`))
	s.do(chromedp.KeyEvent(kb.Escape))
	require.Empty(t, found())
	s.requireQuiet()
}

// Names that are markup are text: in the picture, in the table and in what is told.
func TestBrowser_NamesAreText(t *testing.T) {
	const name = `<img src=x onerror=window.broken=1></script><script>window.broken=1</script>`
	file := filepath.Join(t.TempDir(), `<b onclick=window.broken=1>.yaml`)
	require.NoError(t, os.WriteFile(file, []byte(document([]group{
		{name: fmt.Sprintf("%q", name), rules: []string{in("tcp 80", "0.0.0.0/0"), in("tcp 22", "@web")}},
		{name: "web", external: []string{"192.0.2.0/24"}},
	}, vm("i1", 11, fmt.Sprintf("%q", name)), vm("i2", 12, "web"))), 0o600))
	s := show(t, drawn(t, file))
	require.Zero(t, eval[int](s, "document.querySelectorAll('img, b').length"))
	require.True(t, eval[bool](s, "window.broken === undefined"))
	require.Contains(t, s.text("table"), name)
	s.pointAt(`[...document.querySelectorAll("text.row")].find((r) => r.textContent.includes("tcp/22"))`)
	require.Contains(t, s.text("#details"), name)
	require.Contains(t, s.text("#details"), "<b onclick=window.broken=1>.yaml:")
	require.Equal(t, 1, eval[int](s,
		"document.querySelectorAll('g.box.group > title').length - 1"))
	require.True(t, eval[bool](s, "window.broken === undefined"))
	s.requireQuiet()
}

// manyGroups is a policy of some groups of all kinds.
func manyGroups(t *testing.T, count int) string {
	var groups []group
	var machines []machine
	name := func(n int) string { return fmt.Sprintf("group-%d-of-%d", n%count, count) }
	for n := range count {
		g := group{name: name(n), rules: []string{in("tcp 80", "@"+name(n/2)), in("tcp 22", "@"+name(0))}}
		switch n % 5 {
		case 0:
			g.rules = append(g.rules, in("tcp 443", "0.0.0.0/0"), in("any", "@"+name(n)))
		case 1:
			g.rules = append(g.rules, out("udp 53", "192.0.2.53/32"))
		case 2:
			g.rules = append(g.rules, in("tcp 9100", "@"+name(n+1)))
		}
		groups = append(groups, g)
		machines = append(machines, vm(fmt.Sprint("i", n), byte(n+10), name(n)))
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(document(groups, machines...)), 0o600))
	return file
}

// overlaps lists texts of the picture that cover each other or leave their box, as the browser
// measures them.
const overlaps = `(() => {
	const out = [], texts = [];
	for (const box of document.querySelectorAll("g.box")) {
		const r = box.querySelector("rect").getBoundingClientRect();
		for (const t of box.querySelectorAll("text")) {
			const b = t.getBoundingClientRect();
			if (b.left < r.left || b.right > r.right || b.top < r.top || b.bottom > r.bottom)
				out.push("leaves its box: " + t.textContent);
			texts.push([b, t.textContent]);
		}
	}
	for (let i = 0; i < texts.length; i++) for (let j = 0; j < i; j++) {
		const [a] = texts[i], [b] = texts[j];
		if (a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom)
			out.push(texts[i][1] + " covers " + texts[j][1]);
	}
	return out;
})()`

// The page fits a telephone, a laptop and a large screen, in light and dark, with 3 to 30 groups.
func TestBrowser_PageFitsTheScreen(t *testing.T) {
	for _, count := range []int{3, 12, 30} {
		s := show(t, drawn(t, manyGroups(t, count)))
		require.Empty(t, eval[[]string](s, overlaps), "%d groups", count)
		for _, width := range []int64{390, 1280, 2560} {
			s.do(chromedp.EmulateViewport(width, 900))
			require.LessOrEqual(t, eval[int64](s, "document.documentElement.scrollWidth"), width,
				"%d groups: the page itself is not to scroll sideways", count)
			require.Greater(t, eval[float64](s, `(() => { const p = document.querySelector(".portcullis");
				return p.getBoundingClientRect().width / p.viewBox.baseVal.width; })()`), 0.74,
				"%d groups: the picture's texts are to be read", count)
			s.save(fmt.Sprintf("matrix-%d-%d", count, width))
		}
		light := eval[string](s, "getComputedStyle(document.body).backgroundColor")
		_, err := chromedp.Call(s.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		require.NoError(t, err)
		dark := eval[string](s, "getComputedStyle(document.body).backgroundColor")
		require.NotEqual(t, light, dark)
		require.Equal(t, dark, eval[string](s,
			"getComputedStyle(document.querySelector('.portcullis .paper')).fill"))
		s.save(fmt.Sprintf("matrix-%d-dark", count))
		s.requireQuiet()
	}
}

// save keeps a picture of the page where PORTCULLIS_REPORTS says, for who wants to look at it.
func (s *shown) save(name string) {
	s.t.Helper()
	folder := os.Getenv("PORTCULLIS_REPORTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(s.ctx, chromedp.CaptureScreenshot())
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(filepath.Join(folder, strings.ReplaceAll(name, "/", "_")+".png"),
		png, 0o600))
}
