// Command bundle makes the console of its sources: ../web/src becomes ../dist, which the package
// console embeds. web/build.sh calls it, in `make build` and for a package.
//
//	bundle WEB DIST       all of the console, compressed
//	bundle -tests WEB DIR its *.test.ts, for `node --test`
//	bundle -sbom WEB FILE packages that are in the console go into an SBOM of the program
//
// Invariant: the same sources give the same bytes, wherever and whenever.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "-tests":
		return bundleTests(args[1], args[2])
	case len(args) == 3 && args[0] == "-sbom":
		return completeSBOM(args[1], args[2])
	case len(args) == 2:
		return bundle(args[0], args[1])
	}
	return errors.New("want WEB DIST, -tests WEB DIR, or -sbom WEB FILE")
}

// common are the options of whatever is built of the sources.
func common(web string) api.BuildOptions {
	return api.BuildOptions{AbsWorkingDir: web, Bundle: true, Charset: api.CharsetUTF8,
		Target: api.ES2022, Tsconfig: filepath.Join(web, "tsconfig.json"),
		LegalComments: api.LegalCommentsNone, LogLevel: api.LogLevelSilent}
}

// minified are those of what browsers get.
func minified(web string) api.BuildOptions {
	o := common(web)
	o.MinifyWhitespace, o.MinifyIdentifiers, o.MinifySyntax = true, true, true
	o.Define = map[string]string{"process.env.NODE_ENV": `"production"`}
	return o
}

// build builds, and returns every mistake with its place.
func build(o api.BuildOptions) (api.BuildResult, error) {
	result := api.Build(o)
	if len(result.Errors) == 0 {
		return result, nil
	}
	return result, errors.New(strings.Join(api.FormatMessages(result.Errors,
		api.FormatMessagesOptions{Kind: api.ErrorMessage}), "\n"))
}

// nobody wants to know what is in a script.
func nobody(string) {}

// console are the options of the console. What is in the script of a worker is told to made, as
// esbuild's metafile.
func console(web string, made func(metafile string)) api.BuildOptions {
	o := minified(web)
	o.EntryPointsAdvanced = []api.EntryPoint{{InputPath: "src/main.tsx", OutputPath: "main"},
		{InputPath: "src/icon.svg", OutputPath: "icon"}}
	o.Format, o.Splitting = api.FormatESModule, true
	o.Outdir = filepath.Join(web, "assets") // nothing is written there
	o.PublicPath = assets
	o.EntryNames, o.ChunkNames, o.AssetNames = "[name]-[hash]", "[name]-[hash]", "[name]-[hash]"
	o.Loader = map[string]api.Loader{".svg": api.LoaderCopy}
	o.Plugins = []api.Plugin{workers(web, made)}
	return o
}

// bundle makes the console.
func bundle(web, dist string) error {
	web, err := filepath.Abs(web)
	if err != nil {
		return err
	}
	result, err := build(console(web, nobody))
	if err != nil {
		return err
	}
	page, err := os.ReadFile(filepath.Join(web, "src", "index.html"))
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		if strings.HasSuffix(name, ".css") && !strings.HasPrefix(name, "main-") {
			return fmt.Errorf("%s: nothing would load the style of a page: name it in an @import of "+
				"src/main.css", name)
		}
		files["assets/"+name] = f.Contents
	}
	if files["index.html"], err = named(string(page), files); err != nil {
		return err
	}
	return write(dist, files)
}

// workers lets an import that ends in ?worker be the address of a script of its own.
func workers(web string, made func(metafile string)) api.Plugin {
	const mark, space = "?worker", "worker"
	return api.Plugin{Name: space, Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `\?worker$`}, func(a api.OnResolveArgs) (
			api.OnResolveResult, error) {
			path := filepath.Join(a.ResolveDir, strings.TrimSuffix(a.Path, mark))
			// the hash of whoever imports it has this name: it is the same in every folder
			name, err := filepath.Rel(web, strings.TrimSuffix(path, filepath.Ext(path))+".js")
			return api.OnResolveResult{Path: name, Namespace: space, PluginData: path}, err
		})
		b.OnLoad(api.OnLoadOptions{Filter: ".", Namespace: space}, func(a api.OnLoadArgs) (
			api.OnLoadResult, error) {
			o := minified(web)
			o.EntryPoints, o.Format = []string{a.PluginData.(string)}, api.FormatIIFE
			o.Metafile = true
			result, err := build(o)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			made(result.Metafile)
			text := string(result.OutputFiles[0].Contents)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderFile}, nil
		})
	}}
}

// bundleTests makes a script of each test.
func bundleTests(web, dir string) error {
	web, err := filepath.Abs(web)
	if err != nil {
		return err
	}
	o := common(web)
	err = filepath.WalkDir(filepath.Join(web, "src"), func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".test.ts") || strings.HasSuffix(path, ".test.tsx") {
			o.EntryPoints = append(o.EntryPoints, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if o.Outdir, err = filepath.Abs(dir); err != nil {
		return err
	}
	o.Platform, o.Format, o.Write = api.PlatformNode, api.FormatESModule, true
	o.Sourcemap, o.OutExtension = api.SourceMapInline, map[string]string{".js": ".mjs"}
	o.Loader = map[string]api.Loader{".css": api.LoaderEmpty, ".svg": api.LoaderText}
	o.Plugins = []api.Plugin{workers(web, nobody)}
	_, err = build(o)
	return err
}
