package page

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlocks(t *testing.T) {
	blocks, err := Blocks("a\n```sh\nnot run\n```\n```sh run\necho x\n```\n```text\nx\n```\nb\n" +
		"```text\nnot of a block\n```\nWrite `/etc/f`:\n\n```yaml\nk: v\n```\n\nsee `/etc/g`\n\n" +
		"```yaml\na: b\n```\n")
	require.NoError(t, err)
	require.Equal(t, []Block{
		{Line: 2, Kind: "sh", Text: "not run\n"},
		{Line: 5, Kind: Run, Text: "echo x\n", Prints: "x\n"},
		{Line: 12, Kind: "text", Text: "not of a block\n"},
		{Line: 17, Kind: "yaml", Name: "/etc/f", Text: "k: v\n"},
		{Line: 23, Kind: "yaml", Text: "a: b\n"},
	}, blocks)
	require.Regexp(t, Pattern("a … c\n"), "a b c\n")
	require.NotRegexp(t, Pattern("a … c\n"), "a\nc\n")
	require.NotRegexp(t, Pattern("a.c\n"), "abc\n")
	require.Regexp(t, Pattern("SEEN     VERSION\n9 s ago  3.1\n"), "SEEN      VERSION\n9 s ago   3.1\n")
	require.NotRegexp(t, Pattern("a  b\n"), "a b\n")
	require.NotRegexp(t, Pattern("a b\n"), "a  b\n")
	require.NotRegexp(t, Pattern("  a\n"), "   a\n", "what is indented is so as it stands there")
}

// A name that stands in the fence alone is one that no reader sees.
func TestBlocksRefuseHiddenNames(t *testing.T) {
	_, err := Blocks("`/etc/f`:\n\n```yaml /etc/f\nk: v\n```\n")
	require.ErrorContains(t, err, `line 3: "yaml /etc/f" behind the fence is not on the page`)
}
