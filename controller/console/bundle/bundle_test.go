package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sources writes a console of a page, a worker and a style, and returns its folder.
func sources(t *testing.T, folder string, more map[string]string) string {
	t.Helper()
	web := filepath.Join(t.TempDir(), folder)
	files := map[string]string{
		"tsconfig.json":        `{"compilerOptions": {"strict": true}}`,
		"src/index.html":       `<link href="/icon.svg"><link href="/main.css"><script src="/main.js"></script>`,
		"src/icon.svg":         `<svg xmlns="http://www.w3.org/2000/svg"/>`,
		"src/main.css":         `body { margin: 0 }`,
		"src/main.tsx":         "import './main.css';\nvoid import('./page/page').then((p) => p.start());",
		"src/page/page.ts":     "import at from './layout.ts?worker';\nexport const start = () => new Worker(at);",
		"src/page/layout.ts":   "import { n } from './n';\npostMessage(n);",
		"src/page/n.ts":        "export const n: number = 41 + 1;",
		"src/page/n.test.ts":   "import { n } from './n';\nif (n !== 42) throw new Error(String(n));",
		"src/page/unused.d.ts": "declare module '*?worker';",
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(web, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return web
}

// contents are the files of a folder.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, folder)] = string(text)
		return err
	}))
	return out
}

// The same sources are the same bytes in every folder; what was there before is gone, but for what
// the repository keeps.
func TestTheSameEverywhere(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(one, "old.js"), nil, 0o600))
	require.NoError(t, run([]string{sources(t, "web", nil), one}))
	require.NoError(t, run([]string{sources(t, "rather/long/name", nil), two}))
	made := contents(t, one)
	require.Equal(t, made, contents(t, two))
	require.NotContains(t, made, "/old.js")
	page := made["/index.html"]
	require.Regexp(t, `^<link href="/assets/icon-\w+\.svg"><link href="/assets/main-\w+\.css">`+
		`<script src="/assets/main-\w+\.js"></script>$`, page)
	workers := 0
	for name, text := range made {
		if strings.HasPrefix(name, "/assets/layout-") && strings.HasSuffix(name, ".js") {
			workers++
			require.Contains(t, text, "postMessage(42)", "what it imports is in it")
			for _, other := range made {
				if strings.Contains(other, "new Worker") && !strings.Contains(other, name) {
					t.Errorf("the page does not name %s: %s", name, other)
				}
			}
		}
	}
	require.Equal(t, 1, workers)
}

// A mistake is told with its place, and nothing is made; so is a style that nothing would load.
func TestMistakes(t *testing.T) {
	for said, files := range map[string]map[string]string{
		"src/page/n.ts:1:":   {"src/page/n.ts": "export const = 1;"},
		"@import":            {"src/page/page.ts": "import './own.css'; export const start = 1;", "src/page/own.css": "a{b:c}"},
		"/main.css":          {"src/main.tsx": "export {};"},
		"layout.ts":          {"src/page/layout.ts": "import './gone';"},
		"src/page/absent.ts": {"src/page/page.ts": "import at from './absent.ts?worker'; export const start = at;"},
	} {
		dist := t.TempDir()
		require.ErrorContains(t, run([]string{sources(t, "web", files), dist}), said)
		require.Empty(t, contents(t, dist))
	}
	require.Error(t, run(nil))
}

// A script is made of each test, for node.
func TestTestsAreBundled(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run([]string{"-tests", sources(t, "web", nil), dir}))
	made := contents(t, dir)
	require.Len(t, made, 1)
	for name, text := range made {
		require.True(t, strings.HasSuffix(name, "n.test.mjs"), name)
		require.Contains(t, text, "41 + 1")
	}
}
