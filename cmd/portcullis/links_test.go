package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every link of a page leads to a file that is there.
func TestLinksOfPages(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	links := 0
	require.NoError(t, filepath.WalkDir("../../docs",
		func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".md" {
				return err
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, m := range link.FindAllSubmatch(text, -1) {
				links++
				require.FileExists(t, pageOf(filepath.Join(filepath.Dir(path), string(m[1]))), path)
			}
			return nil
		}))
	require.Greater(t, links, 20)
}

// pageOf is a page, or any file of a folder that is linked to.
func pageOf(path string) string {
	if inside, _ := filepath.Glob(path + "/*.*"); len(inside) > 0 {
		return inside[0]
	}
	return path
}
