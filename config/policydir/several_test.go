package policydir

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
)

func TestLoadAll(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	configtest.Write(t, in("groups.yaml"), "groups: [{name: a}]")
	configtest.Write(t, in("instances.yaml"), "instances: [{name: i, groups: [a, b]}]")
	more := t.TempDir()
	configtest.Write(t, filepath.Join(more, "b.yaml"), "groups: [{name: b}]")
	configtest.Write(t, filepath.Join(more, "b.yml"), "groups: [{name: c}]")
	for _, paths := range [][]string{
		{in("groups.yaml"), in("instances.yaml"), more},
		{more, dir + "/./instances.yaml", in("instances.yaml"), in("groups.yaml")},
		{more, dir},
	} {
		p, warnings, err := LoadAll(paths)
		require.NoError(t, err)
		require.Len(t, p.Groups, 2)
		require.Len(t, p.Instances, 1)
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0].String(), "b.yml:1:1: the file is not read")
	}
	_, _, err := LoadAll([]string{in("instances.yaml")})
	require.ErrorContains(t, err, `there is no group "a"`)
	_, _, err = LoadAll([]string{in("instances.yaml"), in("groups.yaml")})
	require.ErrorContains(t, err, `there is no group "b"`)
	require.NotContains(t, err.Error(), `there is no group "a"`)
	_, _, err = LoadAll([]string{dir, in("none.yaml")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
