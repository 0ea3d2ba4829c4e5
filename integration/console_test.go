//go:build integration

package integration

// What the tests of the console stand on: a fleet with real hosts, `portcullis serve` before its
// database, and one Chromium whose tabs reach it through a gate. console_*_test.go use it.

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
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
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/example"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/gate"
	"github.com/portcullis/portcullis/integration/testnet"
)

// console is a fleet with its console.
type console struct {
	*apiFleet
	gate       *gate.Gate
	url        string
	browser    context.Context
	stopServer func()
	axe        string // the script that finds what keeps people out
}

// consoleTime is how long all that is tried with one console may take, on a machine that is busy.
const consoleTime = 10 * time.Minute

// newConsole builds the fleet of a policy, and opens the browser.
func newConsole(t *testing.T, policy string) *console {
	t.Helper()
	requireTool(t, "chromium")
	axe, err := os.ReadFile("../controller/console/web/node_modules/axe-core/axe.min.js")
	require.NoError(t, err, "'make build' installs it, where npm is")
	c := &console{axe: string(axe), apiFleet: newAskedFleet(t, fleetlab.Options{Policy: policy,
		Outside: example.Outside(), Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("2001:db8:0:1::1")}})}
	c.stopServer = c.serve()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.gate = gate.Before(l, func() (conn net.Conn, err error) {
		return conn, c.Operator.Namespace.Do(func() error {
			conn, err = net.Dial("tcp", "127.0.0.1:8080")
			return err
		})
	})
	t.Cleanup(c.gate.Close)
	c.url = "http://" + l.Addr().String()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(browserTime))
	ctx, cancel := context.WithTimeout(context.Background(), consoleTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	c.browser, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(c.browser, chromedp.Navigate("about:blank")))
	return c
}

// tab is a tab with cookies of its own: somebody before their browser.
type tab struct {
	*shown
	console *console

	mu      sync.Mutex
	refused []string // what the server or the network has refused
	bytes   float64  // that came, as they were sent
}

// newTab opens a tab, where nobody is signed in.
func (c *console) newTab(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{shown: &shown{t: t, ctx: ctx}, console: c}
	require.NoError(t, chromedp.Listen(ctx, b.hear))
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: inPage})
	require.NoError(t, err)
	b.do(chromedp.EmulateViewport(1280, 900))
	return b
}

// hear gathers what a tab asks for and complains of. What the server refuses is no complaint of the
// page: tests look at it where they have the server refuse.
func (b *tab) hear(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.refused = append(b.refused, e.Entry.URL+": "+e.Entry.Text)
			return
		}
	case *asks.EventLoadingFinished:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bytes += e.EncodedDataLength
		return
	case *runtime.EventExceptionThrown:
		if e.ExceptionDetails.Exception != nil {
			e.ExceptionDetails.Text += " " + e.ExceptionDetails.Exception.Description
		}
	case *page.EventJavascriptDialogOpening:
		go func() { // the answer waits for the event to be over
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog,
				page.HandleJavaScriptDialogParams{Accept: true}) // a tab that is gone has none
		}()
	}
	b.shown.hear(event)
}

// inPage is there before the scripts of a page: it finds what people find, by the name that is
// shown or read to them, and gathers what the page's own rules refuse.
const inPage = `"use strict";
window.reports = [];
addEventListener("securitypolicyviolation", (e) =>
	reports.push(e.effectiveDirective + " " + e.blockedURI + " " + e.sample));
window.people = {
	kinds: {button: "button, summary, [role=button], [role=tab]", link: "a[href]",
		field: "input, select, textarea", row: "tr", any: "*"},
	isSeen(e) {
		const r = e.getBoundingClientRect();
		return r.width > 0 && r.height > 0 && getComputedStyle(e).visibility !== "hidden";
	},
	name(e) {
		const labels = [...(e.labels ?? [])].map((l) => l.textContent).join(" ");
		const by = e.getAttribute("aria-labelledby")?.split(" ")
			.map((id) => document.getElementById(id)?.textContent).join(" ");
		return (by ?? e.getAttribute("aria-label") ?? (labels || e.textContent)).replace(/\s+/g, " ").trim();
	},
	root() { return [...document.querySelectorAll("dialog[open]")].at(-1) ?? document; },
	find(kind, name) {
		const all = [...this.root().querySelectorAll(this.kinds[kind])].filter((e) => this.isSeen(e));
		return all.find((e) => this.name(e) === name) ?? all.find((e) => this.name(e).startsWith(name));
	},
	place(e) { // where it is clicked, if nothing lies over it
		if (!e || e.disabled) return null;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		return top && (e.contains(top) || top.contains(e) || [...(e.labels ?? [])].some((l) => l.contains(top)))
			? [x, y] : null;
	},
};`

// shownWithin bounds the wait for what a page is to show.
const shownWithin = 25 * time.Second

// quick is how often a state is looked at that is waited for.
const quick = 20 * time.Millisecond

// await waits until an expression of the page's script is true.
func (b *tab) await(expression, why string) {
	b.t.Helper()
	if !b.awaits(expression) {
		b.save("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
		require.FailNow(b.t, "it does not come: "+why, "%s\n%s", expression,
			eval[string](b.shown, "location.href + '\\n' + document.body.innerText"))
	}
}

func (b *tab) awaits(expression string) bool {
	for end := time.Now().Add(testnet.Slowed(shownWithin)); time.Now().Before(end); time.Sleep(quick) {
		// while a page goes away nothing can be asked of it
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && is {
			return true
		}
		if b.ctx.Err() != nil {
			return false
		}
	}
	return false
}

// asScript is a text as the page's script writes it.
func asScript(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // every text can be written
	}
	return string(out)
}

// sees waits for texts that people see on the page.
func (b *tab) sees(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.await("document.body.innerText.replace(/\\s+/g, ' ').includes("+asScript(text)+")", text)
	}
}

// losesSight waits until a text is gone.
func (b *tab) losesSight(text string) {
	b.t.Helper()
	b.await("!document.body.innerText.replace(/\\s+/g, ' ').includes("+asScript(text)+")", text+" goes")
}

// click clicks with the mouse what has a name, once it is there and nothing lies over it.
func (b *tab) click(kind, name string) {
	b.t.Helper()
	find := fmt.Sprintf("people.place(people.find(%q, %s))", kind, asScript(name))
	b.await(find, kind+" "+name)
	at := eval[[]float64](b.shown, find)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// fill writes a text into a field, in place of what is there.
func (b *tab) fill(label, text string) {
	b.t.Helper()
	has := "document.activeElement === people.find('field', " + asScript(label) + ")"
	for range 5 { // what comes meanwhile may move it away under the mouse
		b.click("field", label)
		if eval[bool](b.shown, has) {
			break
		}
	}
	b.await(has, "the field "+label+" has the keys")
	eval[bool](b.shown, "document.activeElement.select?.() === undefined")
	_, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text})
	require.NoError(b.t, err)
}

// key presses keys as a keyboard does: where a page takes the key, no character of it comes.
func (b *tab) key(keys string) {
	b.t.Helper()
	for _, r := range keys {
		var down *input.DispatchKeyEventParams
		for _, k := range kb.Encode(r) {
			switch {
			case k.Type == kb.KeyChar && down != nil:
				down.Text, down.UnmodifiedText = k.Text, k.UnmodifiedText
			case k.Type == kb.KeyUp:
				b.send(down)
				b.send(k)
			case down == nil:
				down = k
				down.Type = input.DispatchKeyEventTypeKeyDown
			}
		}
	}
}

func (b *tab) send(k *input.DispatchKeyEventParams) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, *k)
	require.NoError(b.t, err)
}

// enter presses Enter.
func (b *tab) enter() {
	b.t.Helper()
	b.key(kb.Enter)
}

// visit opens a page of the console by its address.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.console.url + path))
}

// signIn signs in as people do, with a token, at a page.
func (b *tab) signIn(token, path string) {
	b.t.Helper()
	b.visit(path)
	b.fill("Token", token)
	b.click("button", "Sign in")
	b.await("document.querySelector('nav.ways') !== null", "the console")
}

// colours has the page be light or dark.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"}}})
	require.NoError(b.t, err)
}

// requireAccessible fails on whatever axe finds in the page as it is.
func (b *tab) requireAccessible(what string) {
	b.t.Helper()
	if !eval[bool](b.shown, "typeof axe === 'object'") {
		eval[bool](b.shown, "(() => {"+b.console.axe+"})() === undefined")
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]})
		.then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map((n) =>
			"  " + n.html.slice(0, 160) + "\n  " + n.failureSummary.split("\n").at(-1)).join("\n")))`, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
	assert.True(b.t, len(found) == 0, "axe of %s: %s", what, strings.Join(found, "\n"))
}

// requireClean fails if the page asked for anything but its server, complained, or tried what its
// rules refuse.
func (b *tab) requireClean() {
	b.t.Helper()
	reports := eval[[]string](b.shown, "window.reports")
	b.shown.mu.Lock()
	defer b.shown.mu.Unlock()
	assert.Empty(b.t, reports, "what the content policy and Trusted Types report")
	assert.Empty(b.t, b.said, "what the page says to its developers")
	for _, address := range b.asked {
		assert.True(b.t, strings.HasPrefix(address, b.console.url+"/") ||
			strings.HasPrefix(address, "blob:"+b.console.url), "asked elsewhere: %s", address)
	}
}

// takeRefused returns what was refused since it was asked last.
func (b *tab) takeRefused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.refused
	b.refused = nil
	return out
}

// widths are a telephone, a laptop and a large screen.
var widths = []int64{390, 1280, 2560}

// look holds a page as it is against what holds of all: it is accessible in light and dark, does
// not scroll sideways on any screen, and is kept as a picture for who wants to look.
func (b *tab) look(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.colours(scheme)
		b.requireAccessible(name + ", " + scheme)
	}
	b.save("console-" + name + "-dark")
	b.colours("light")
	for _, width := range widths {
		b.do(chromedp.EmulateViewport(width, 900))
		assert.Empty(b.t, eval[[]string](b.shown, sideways), "%s scrolls sideways at %d", name, width)
		b.save(fmt.Sprintf("console-%s-%d", name, width))
	}
	b.do(chromedp.EmulateViewport(1280, 900))
	b.requireClean()
}

// sideways are the elements by which a page as a whole scrolls sideways.
const sideways = `(() => {
	const root = document.documentElement;
	if (root.scrollWidth <= innerWidth) return [];
	return [root.scrollWidth + " of " + innerWidth, ...[...document.querySelectorAll("body *")]
		.filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
		.map((e) => e.outerHTML.slice(0, 120) + " ends at " + e.getBoundingClientRect().right)].slice(0, 8);
})()`

// bundleSizes are the compressed bytes of the whole bundle that 'make build' has made.
func bundleSizes(t *testing.T) (all int64) {
	t.Helper()
	files, err := filepath.Glob("../controller/console/dist/assets/*.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range append(files, "../controller/console/dist/index.html.gz") {
		info, err := os.Stat(name)
		require.NoError(t, err)
		all += info.Size()
	}
	return all
}
