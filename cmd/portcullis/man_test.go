package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the manual pages anew")

const manFolder = "../../docs/man"

// TestManualPages compares docs/man with what the commands' help and the reference files say; with
// -update, it writes it.
func TestManualPages(t *testing.T) {
	want := commandPages()
	want["portcullis.yaml.5"] = filePage(t, "portcullis.yaml", "settings of portcullis",
		"reference/portcullis.yaml")
	want["portcullis-policy.5"] = filePage(t, "portcullis-policy", "policy files of portcullis",
		"policyfile/reference/policy.yaml")
	if *update {
		require.NoError(t, os.RemoveAll(manFolder))
		require.NoError(t, os.MkdirAll(manFolder, 0o755))
		for name, text := range want {
			require.NoError(t, os.WriteFile(filepath.Join(manFolder, name), text, 0o644))
		}
	}
	pages, err := os.ReadDir(manFolder)
	require.NoError(t, err)
	for _, page := range pages {
		got, err := os.ReadFile(filepath.Join(manFolder, page.Name()))
		require.NoError(t, err)
		require.Equal(t, string(want[page.Name()]), string(got),
			"%s is stale; go generate ./cmd/portcullis", page.Name())
		delete(want, page.Name())
	}
	require.Empty(t, want, "pages are missing; go generate ./cmd/portcullis")
}

// commandPages are the pages of the commands, by file name.
func commandPages() map[string][]byte {
	root := newRoot()
	pages := map[string][]byte{"portcullis.8": manPage(root)}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			pages[manName(cmd)+".8"] = manPage(cmd)
		}
	}
	return pages
}

// filePage is the page of a kind of file: the commented reference of all its keys, as it is.
func filePage(t *testing.T, name, title, file string) []byte {
	reference, err := os.ReadFile("../../config/" + file)
	require.NoError(t, err)
	return []byte(`.TH "` + strings.ToUpper(name) + `" "5" "" "Portcullis" "Portcullis"
.SH NAME
` + name + ` \- ` + title + `
.SH DESCRIPTION
The file is YAML, and strict: what is wrong is reported all at once, with its place and with what would be right, by
.BR portcullis\-check (8).
This is a file with every key and what it means.
.SH KEYS
.nf
` + roff(string(reference)) + `.fi
.SH FILES
` + manFiles + `.SH SEE ALSO
.BR portcullis (8),
.BR portcullis\-check (8),
` + otherFile(name) + `.PP
` + manDocs)
}

// otherFile refers to the page of the other kind of file.
func otherFile(name string) string {
	if name == "portcullis.yaml" {
		return ".BR portcullis\\-policy (5)\n"
	}
	return ".BR portcullis.yaml (5)\n"
}

// man must find nothing to complain of.
func TestManualPagesAreWellFormed(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is not here: the pages were not set")
	}
	pages, err := filepath.Glob(manFolder + "/*")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		var complaints bytes.Buffer
		set := exec.Command("groff", "-man", "-Tutf8", "-P-cbou", "-K", "utf8", "-wmac",
			"-wmissing", page)
		set.Stderr = &complaints
		out, err := set.Output()
		require.NoError(t, err, page)
		require.Empty(t, complaints.String(), page)
		require.Contains(t, string(out), "NAME", page)
	}
}
