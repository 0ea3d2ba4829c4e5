package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// The files of the bundle: their names in the page, and what is written. main.go calls this.

// assets is where browsers find the files.
const assets = "/assets/"

// plain are the names that index.html has.
var plain = regexp.MustCompile(`="/(main\.js|main\.css|icon\.svg)"`)

// named is the page with the names that have the hash of their content in them.
func named(page string, files map[string][]byte) ([]byte, error) {
	var missing error
	page = plain.ReplaceAllStringFunc(page, func(text string) string {
		name := plain.FindStringSubmatch(text)[1]
		kind := path.Ext(name)
		begin := "assets/" + strings.TrimSuffix(name, kind) + "-"
		for file := range files {
			if strings.HasPrefix(file, begin) && strings.HasSuffix(file, kind) {
				return `="/` + file + `"`
			}
		}
		missing = fmt.Errorf("src/index.html names /%s, which is not in the bundle", name)
		return text
	})
	return []byte(page), missing
}

// write replaces what is in a folder, but for what is kept in the repository. Each file has its
// compressed twin beside it.
func write(dist string, files map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dist, "[^.]*"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dist, "assets"), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		to := filepath.Join(dist, filepath.FromSlash(name))
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
		small, err := compressed(text)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to+".gz", small, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compressed is a text by gzip, without a time or a name.
func compressed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
