package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is chosen of a package is there, and each reason is of a place that is there.
func TestChosenFilesAndReasonsAreOfTheCode(t *testing.T) {
	t.Chdir("../..")
	places := map[string]bool{}
	for _, folder := range []string{"flows", "controller/agent", "flows/openflow",
		"controller/ofswitch"} {
		s := suite{folder: folder}
		require.NoError(t, s.choose(""))
		require.NotEmpty(t, s.files)
		for _, file := range s.files {
			found, err := mutations(file)
			require.NoError(t, err)
			for _, m := range found {
				places[m.place()] = true
				require.True(t, strings.HasPrefix(m.file, filepath.FromSlash(folder)))
			}
		}
	}
	for place, why := range equal() {
		require.True(t, places[place], "no such place: %s", place)
		require.NotEmpty(t, why)
	}
}
