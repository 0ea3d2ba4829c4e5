package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The SBOM of a program has the packages of which something is in its console, also in scripts of
// workers, and what they need; each as package-lock.json has it, and nothing else.

const hash = "sha512-AQI="

// withPackages are sources that use some packages, and have others.
func withPackages(lock string) map[string]string {
	return map[string]string{
		"package-lock.json":                    lock,
		"src/page/page.ts":                     "import at from './layout.ts?worker'; import { a } from '@own/a';\nexport const start = () => new Worker(at + a);",
		"src/page/layout.ts":                   "import { b } from 'b'; import { c } from 'c';\npostMessage(b);",
		"node_modules/@own/a/index.js":         "export const a = Math.random();",
		"node_modules/b/index.js":              "export const b = Math.random();",
		"node_modules/c/index.js":              "export const c = 'only a type';",
		"node_modules/c/package.json":          `{"sideEffects": false}`,
		"node_modules/b/node_modules/d/own.js": "export {}",
	}
}

const lockText = `{"packages": {"": {"name": "console"},
	"node_modules/@own/a": {"version": "1.2.3", "license": "MIT", "integrity": "` + hash + `"},
	"node_modules/b": {"version": "2.0.0", "license": "(MIT OR Apache-2.0)", "integrity": "` + hash + `", "dependencies": {"d": "1", "e": "1"}},
	"node_modules/b/node_modules/d": {"version": "1.0.0", "license": "MIT", "integrity": "` + hash + `"},
	"node_modules/c": {"version": "3.0.0", "license": "MIT", "integrity": "` + hash + `"},
	"node_modules/d": {"version": "9.0.0", "license": "MIT", "integrity": "` + hash + `"},
	"node_modules/e": {"version": "5.0.0", "license": "ISC", "integrity": "` + hash + `"}}}`

// program is an SBOM before the console is in it.
const program = `{"$schema": "s", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"a": "<&>"},
	"components": [{"bom-ref": "x"}], "dependencies": [{"ref": "program", "dependsOn": ["x"]}, {"ref": "x"}]}`

func sbomFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sbom.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestSBOM(t *testing.T) {
	file, again := sbomFile(t, program), sbomFile(t, program)
	require.NoError(t, run([]string{"-sbom", sources(t, "web", withPackages(lockText)), file}))
	require.NoError(t, run([]string{"-sbom", sources(t, "rather/long", withPackages(lockText)), again}))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	other, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, string(text), string(other), "it is the same wherever it is made")
	require.Contains(t, string(text), `"<&>"`)

	var s sbom
	require.NoError(t, json.Unmarshal(text, &s))
	npm := []string{"pkg:npm/%40own/a@1.2.3", "pkg:npm/b@2.0.0", "pkg:npm/d@1.0.0", "pkg:npm/e@5.0.0"}
	require.Equal(t, dependency{"program", append([]string{"x"}, npm...)}, s.Dependencies[0])
	require.Len(t, s.Dependencies, 2+len(npm))
	require.Len(t, s.Components, 1+len(npm), "c is not in the bundle, and the other d is not b's")
	require.JSONEq(t, `{"bom-ref": "pkg:npm/b@2.0.0", "purl": "pkg:npm/b@2.0.0", "type": "library",
		"name": "b", "version": "2.0.0", "scope": "required",
		"licenses": [{"expression": "(MIT OR Apache-2.0)"}],
		"hashes": [{"alg": "SHA-512", "content": "0102"}]}`, string(s.Components[2]))
}

// What cannot be told makes no SBOM: the file stays as it was.
func TestSBOM_Mistakes(t *testing.T) {
	const of = "node_modules/@own/a"
	for said, c := range map[string]struct{ lock, program string }{
		"lacks " + of:         {`{"packages": {}}`, program},
		of + ": want version": {`{"packages": {"` + of + `": {"version": "1", "integrity": "` + hash + `"}}}`, program},
		"package-lock.json":   {`{`, program},
		"unknown field":       {lockText, `{"services": []}`},
		"dependencies":        {lockText, `{}`},
	} {
		if said == of+": want version" { // of the others all is known
			c.lock = c.lock[:len(c.lock)-2] + `, "node_modules/b": {"version": "2", "license": "MIT", "integrity": "` + hash + `"}}}`
		}
		file := sbomFile(t, c.program)
		require.ErrorContains(t, run([]string{"-sbom", sources(t, "web", withPackages(c.lock)), file}), said)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, c.program, string(text), said)
	}
}
