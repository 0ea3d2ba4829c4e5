package wording

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	known := []string{"frontend", "backend", "management", "web"}
	for word, want := range map[string]string{"fronted": "frontend", "Frontend": "frontend",
		"managemnet": "management", "wbe": "web", "we": "web",
		"xyz": "", "database": "", "": ""} {
		got, _ := Nearest(word, known)
		require.Equal(t, want, got, word)
	}
	require.Equal(t, 1, distance([]rune("ab"), []rune("ba")))
	require.Equal(t, 3, distance([]rune("kitten"), []rune("sitting")))
	require.Equal(t, 4, distance(nil, []rune("four")))
}
