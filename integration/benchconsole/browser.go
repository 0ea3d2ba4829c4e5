package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/integration/measure"
)

// Debian's Chromium, and tabs of it that measure. scenes.go uses them. Invariant: what is measured
// is measured in the page, by its own clock; what the protocol of the browser takes is no part of
// it.

//go:embed page.js
var inPage string

// newBrowser starts a browser.
func newBrowser(ctx context.Context, s *measure.Shim) (context.Context, error) {
	dir, err := os.MkdirTemp("", "bench-console")
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(dir), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(measure.Patience))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	s.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	s.Cleanup(cancel)
	return ctx, chromedp.Do(ctx, chromedp.Navigate("about:blank"))
}

// tab is a tab with cookies and a cache of its own, signed in.
type tab struct {
	ctx context.Context
	url string
}

// newTab opens a tab that has a session, and nothing in its cache.
func newTab(browser context.Context, s *measure.Shim, p *place) (*tab, error) {
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	s.Cleanup(cancel)
	t := &tab{ctx: ctx, url: p.url}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: inPage}); err != nil {
		return nil, err
	}
	_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: p.session.Name,
		Value: p.session.Value, URL: p.url + "/", Path: "/", Secure: new(true)})
	return t, err
}

func (t *tab) visit(path string) error {
	return chromedp.Do(t.ctx, chromedp.Navigate(t.url+path))
}

// eval is what an expression of the page's script comes to.
func eval[T any](t *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, late)
	defer cancel()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		seen, _ := chromedp.Run(t.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		err = fmt.Errorf("%s: %w; the page says: %s", expression, err, seen)
	}
	return out, err
}

// late is when something that is waited for comes no more.
const late = time.Minute

// quoted is a text as the page's script writes it.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // every text can be written
	}
	return string(out)
}

// pause is between two keys: somebody types fast.
const pause = 60 * time.Millisecond

// types types a text into a field, and returns the longest time from a key to the next frame.
func (t *tab) types(field, text string) (float64, error) {
	if _, err := eval[bool](t, fmt.Sprintf(`(bench.keys = [], document.querySelector(%s).focus(),
		document.activeElement.select(), true)`, quoted(field))); err != nil {
		return 0, err
	}
	for _, r := range text {
		key := string(r)
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown,
			input.DispatchKeyEventTypeKeyUp} {
			k := input.DispatchKeyEventParams{Type: kind, Key: key}
			if kind == input.DispatchKeyEventTypeKeyDown {
				k.Text, k.UnmodifiedText = key, key
			}
			if _, err := chromedp.Call(t.ctx, input.DispatchKeyEvent, k); err != nil {
				return 0, err
			}
		}
		time.Sleep(pause) // as people do
	}
	return eval[float64](t, fmt.Sprintf(`bench.drawn().then(() => bench.keys.length >= %d
		? Math.max(...bench.keys) : Promise.reject(new Error("keys that were not heard")))`, len(text)))
}
