package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// The command version.

// release is set by the linker (-X main.release=v1.2.3) and by nothing else.
var release string

// build is what -o json tells of the program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // the commit, if the Go tool recorded it
	Go       string `json:"go"`
	Platform string `json:"platform"` // such as linux/amd64
}

func newVersion() *cobra.Command {
	out := term.WordOf("text", "json")
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  portcullis version\n  portcullis version -o json",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if out.Value == "json" {
				return term.PrintJSON(cmd.OutOrStdout(), build{version(), recorded("vcs.revision"),
					runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "portcullis %s\n", version())
			return err
		}),
	}
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

// version is the release, or else the module's version or commit as the Go tool recorded it.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if revision := recorded("vcs.revision"); revision != "" {
		return "devel-" + revision
	}
	return "devel"
}

// recorded is what the Go tool wrote into the program; "" = nothing.
func recorded(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}
