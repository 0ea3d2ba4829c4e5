package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConvertIsCheckedAsAPolicy(t *testing.T) {
	const samples = "../../config/convert/testdata/"
	for _, args := range [][]string{{samples + "exo.json"}, {samples + "aws.json"},
		{"--from", "aws", samples + "aws.json"}} {
		a := call(t, append([]string{"convert"}, args...)...)
		require.Equal(t, 0, a.code, a.errOut)
		require.Contains(t, a.errOut, "note: group ")
		require.Equal(t, 0, call(t, "check", "--config", site(t, a.out)).code)
	}
}

func TestConvertReadsSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	require.NoError(t,
		os.WriteFile(one,
			[]byte(`{"name": "a", "ingress_rules": [{"protocol": "gre", "security_group": "SG:b"}]}`),
			0o600))
	require.NoError(t, os.WriteFile(two, []byte(`{"name": "b", "ingress_rules": []}`), 0o600))
	require.Equal(t, 0, call(t, "convert", one, two).code)
	alone := call(t, "convert", one)
	require.Equal(t, 1, alone.code)
	require.Empty(t, alone.out)
	require.Contains(t, alone.errOut,
		`group "a", ingress rule 1: the group "b" is not in the input`)
}

func TestConvertFails(t *testing.T) {
	require.Equal(t, 1, call(t, "convert").code, "nothing on its standard input")
	require.Equal(t, 1, call(t, "convert", "/nowhere").code)
	require.Equal(t, 1, call(t, "convert", "--from", "gcp",
		"../../config/convert/testdata/aws.json").code)
	require.Equal(t, 2, call(t, "convert", "--to", "x").code)
}
