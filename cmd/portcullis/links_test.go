package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// Every link of a page leads to a file that is there, and to a heading of it: on the pages of the
// source, and of the package.
func TestLinksOfPages(t *testing.T) {
	require.Greater(t, followLinks(t, "../../docs")+followLinks(t, "../../*.md"), 100)
}

func TestLinksOfThePackage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "usr", "share", "doc", "portcullis")
	require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o755))
	out, err := exec.Command("package/docs.sh", folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.CopyFS(filepath.Join(folder, "../../portcullis/schema"),
		os.DirFS("../../docs/schema")))
	require.Greater(t, followLinks(t, folder), 100)
	for _, file := range []string{"operations.md", "monitoring/alerts.yaml", "examples/lab.sh",
		"monitoring/dashboard.json", "monitoring/README.md", "howto/README.md", "SECURITY.md"} {
		require.FileExists(t, filepath.Join(folder, file), "the package's pages or commands name it")
	}
}

// A link that leads nowhere is noticed.
func TestLinksThatLeadNowhere(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("# A page\n\n[good](#a-page) [bad](page.md#b) "+
		"[gone](gone.md) [there](https://example.org/x.md) [picture](page.svg)\n"), 0o600))
	_, broken := linksOf(t, page)
	require.Equal(t, []string{"page.md#b", "gone.md", "page.svg"}, broken)
}

var link = regexp.MustCompile(`\]\(([^) ]+)\)`)

// followLinks fails for each link of the pages of a folder, or of those that match a pattern, that
// leads nowhere, and returns how many lead somewhere.
func followLinks(t *testing.T, where string) int {
	t.Helper()
	pages, err := filepath.Glob(where)
	require.NoError(t, err)
	if !strings.HasSuffix(where, ".md") {
		pages = nil
		require.NoError(t, filepath.WalkDir(where, func(path string, _ os.DirEntry, err error) error {
			if filepath.Ext(path) == ".md" {
				pages = append(pages, path)
			}
			return err
		}))
	}
	found := 0
	for _, page := range pages {
		links, broken := linksOf(t, page)
		require.Empty(t, broken, page)
		found += links
	}
	return found
}

// linksOf counts a page's links within the documentation, and lists those that lead nowhere.
func linksOf(t *testing.T, page string) (good int, broken []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, m := range link.FindAllStringSubmatch(string(text), -1) {
		to, err := url.Parse(m[1])
		if err == nil && to.Scheme != "" {
			continue
		}
		if err != nil || !leads(t, page, to) {
			broken = append(broken, m[1])
			continue
		}
		good++
	}
	return good, broken
}

// leads says whether there is what a link of a page names.
func leads(t *testing.T, page string, to *url.URL) bool {
	t.Helper()
	path := page
	if to.Path != "" {
		path = filepath.Join(filepath.Dir(page), to.Path)
	}
	if _, err := os.Stat(path); err != nil {
		return false
	}
	if to.Fragment == "" || filepath.Ext(path) != ".md" {
		return true
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(
		string(text), -1) {
		if anchor(heading[1]) == to.Fragment {
			return true
		}
	}
	return false
}

// anchor is the name by which GitHub links to a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
