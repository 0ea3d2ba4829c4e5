package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// What the console is made of, as a part of the SBOM of the program that it is embedded in. main.go
// calls this for a release. Invariant: a package of which anything is in the bundle is listed, with
// the version, the licence and the hash of package-lock.json, or there is no SBOM.

// sbom is a document of CycloneDX 1.6. Parts that nobody here knows are an error, not lost.
type sbom struct {
	Schema       string            `json:"$schema"`
	Format       string            `json:"bomFormat"`
	Spec         string            `json:"specVersion"`
	Version      int               `json:"version"`
	Metadata     json.RawMessage   `json:"metadata"`
	Components   []json.RawMessage `json:"components"`
	Dependencies []dependency      `json:"dependencies"`
	Compositions json.RawMessage   `json:"compositions,omitempty"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

// locked is a package of package-lock.json.
type locked struct {
	Version   string            `json:"version"`
	License   string            `json:"license"`
	Integrity string            `json:"integrity"`
	Needs     map[string]string `json:"dependencies"`
}

// completeSBOM puts the packages that are in the console into an SBOM.
func completeSBOM(web, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s sbom
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(s.Dependencies) == 0 {
		return fmt.Errorf("%s: dependencies: want the program's first", file)
	}
	packages, err := inBundle(web)
	if err != nil {
		return err
	}
	for _, at := range slices.Sorted(maps.Keys(packages)) {
		c, ref, err := component(at, packages[at])
		if err != nil {
			return err
		}
		s.Components = append(s.Components, c)
		s.Dependencies[0].On = append(s.Dependencies[0].On, ref)
		s.Dependencies = append(s.Dependencies, dependency{Ref: ref})
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// component is a package as CycloneDX has it, and how it is referred to.
func component(at string, p locked) (c json.RawMessage, ref string, err error) {
	name := packageName(at)
	algorithm, sum, _ := strings.Cut(p.Integrity, "-")
	hash, err := base64.StdEncoding.DecodeString(sum)
	if p.Version == "" || p.License == "" || algorithm != "sha512" || err != nil {
		return nil, "", fmt.Errorf("package-lock.json: %s: want version, license and integrity by sha512",
			at)
	}
	ref = "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version
	c, err = json.Marshal(map[string]any{"bom-ref": ref, "purl": ref, "type": "library", "name": name,
		"version": p.Version, "scope": "required",
		"licenses": []any{map[string]string{"expression": p.License}},
		"hashes":   []any{map[string]string{"alg": "SHA-512", "content": hex.EncodeToString(hash)}}})
	return c, ref, err
}

const modules = "node_modules/"

// packageName is the name of what is installed in a folder.
func packageName(at string) string { return at[strings.LastIndex(at, modules)+len(modules):] }

// inBundle are the packages of which something is in the console, and what these need, by folder.
func inBundle(web string) (map[string]locked, error) {
	text, err := os.ReadFile(filepath.Join(web, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]locked `json:"packages"`
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("package-lock.json: %w", err)
	}
	folders, err := bundled(web)
	if err != nil {
		return nil, err
	}
	out := map[string]locked{}
	for len(folders) > 0 {
		at := folders[0]
		folders = folders[1:]
		p, known := lock.Packages[at]
		if !known {
			return nil, fmt.Errorf("package-lock.json: lacks %s, which is in the bundle", at)
		}
		if _, had := out[at]; had {
			continue
		}
		out[at] = p
		for name := range p.Needs {
			folders = append(folders, folderOf(lock.Packages, at, name))
		}
	}
	return out, nil
}

// folderOf is where a package finds another one: in itself, or in the nearest folder around it.
func folderOf(all map[string]locked, from, name string) string {
	for in := from; in != "."; in = path.Dir(in) {
		if at := path.Join(in, modules, name); all[at].Version != "" {
			return at
		}
	}
	return modules + name
}

// bundled are the folders of packages whose files are in scripts of the console or of its workers.
func bundled(web string) ([]string, error) {
	web, err := filepath.Abs(web)
	if err != nil {
		return nil, err
	}
	var lock sync.Mutex
	var all []string
	o := console(web, func(metafile string) {
		lock.Lock()
		defer lock.Unlock()
		all = append(all, metafile)
	})
	o.Metafile = true
	result, err := build(o)
	if err != nil {
		return nil, err
	}
	folders := map[string]bool{}
	for _, metafile := range append(all, result.Metafile) {
		if err := addFolders(folders, metafile); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(folders)), nil
}

// addFolders adds the folders of the packages that a metafile has bytes of.
func addFolders(to map[string]bool, metafile string) error {
	var m struct {
		Outputs map[string]struct {
			Inputs map[string]struct {
				Bytes int `json:"bytesInOutput"`
			} `json:"inputs"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &m); err != nil {
		return fmt.Errorf("read what is in the bundle: %w", err)
	}
	for _, o := range m.Outputs {
		for file, input := range o.Inputs {
			n := strings.LastIndex(file, modules)
			if n < 0 || input.Bytes == 0 {
				continue
			}
			parts := strings.SplitN(file[n+len(modules):], "/", 3)
			name := parts[0]
			if strings.HasPrefix(name, "@") && len(parts) > 1 {
				name += "/" + parts[1]
			}
			to[file[:n]+modules+name] = true
		}
	}
	return nil
}
