package policydir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
)

func TestLoadPolicyFolder(t *testing.T) {
	dir := t.TempDir()
	configtest.Write(t, filepath.Join(dir, "20.yaml"), "instances: [{name: i, groups: [b, a]}]")
	configtest.Write(t, filepath.Join(dir, "10.yaml"), "groups: [{name: b}]")
	configtest.Write(t, filepath.Join(dir, "15.yaml"), "groups: [{name: a}]")
	configtest.Write(t, filepath.Join(dir, ".20.yaml"), "no: policy")
	configtest.Write(t, filepath.Join(dir, "30.yaml~"), "no: policy")
	p, warnings, err := Load(dir)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []string{"b", "a"}, []string{p.Groups[0].Name, p.Groups[1].Name},
		"files are read in the order of their names")

	configtest.Write(t, filepath.Join(dir, "30.yml"), "groups: []")
	_, warnings, err = Load(dir)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0].String(), filepath.Join(dir,
		"30.yml")+":1:1: the file is not read")

	configtest.Write(t, filepath.Join(dir, "30.yaml"), "groups: [{name: a}]")
	_, _, err = Load(dir)
	require.EqualError(t, err,
		fmt.Sprintf(
			`%s/30.yaml:1:17: groups[0].name: the group "a" is defined twice; the first is at %s/15.yaml:1:17`, dir, dir))
}

func TestLoadPolicyFailures(t *testing.T) {
	dir := t.TempDir()
	_, _, err := Load(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = Load(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "the folder has no *.yaml file")
	configtest.Write(t, filepath.Join(dir, "a.yml"), "groups: []")
	_, _, err = Load(dir)
	require.ErrorContains(t, err,
		"the folder has no *.yaml file, but a.yml, which is not read; call it a.yaml")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a.yaml"), 0o700))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "b.yaml")))
	_, _, err = Load(dir)
	require.ErrorContains(t, err, "a.yaml: not a regular file")
	require.ErrorContains(t, err, "b.yaml: no such file")
}

func TestLoadPolicyTooLarge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.yaml")
	configtest.Write(t, name, "groups: []")
	require.NoError(t, os.Truncate(name, strictyaml.MaxFileSize))
	_, _, err := Load(name)
	require.ErrorContains(t, err, "NUL")
	require.NoError(t, os.Truncate(name, strictyaml.MaxFileSize+1))
	_, _, err = Load(name)
	require.ErrorContains(t, err, "bytes; at most")
}

// A policy that lies beside the one that is read is warned of: people write policy.yaml where the
// settings name the folder policy.
func TestPolicyBeside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[x]*")
	folder, file := filepath.Join(dir, "policy"), filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	configtest.Write(t, filepath.Join(folder, "a.yaml"), "groups: [{name: a}]")
	p, warnings, err := Load(folder)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, "a", p.Groups[0].Name)
	configtest.Write(t, file, "groups: [{name: b}]")
	for path, want := range map[string]string{
		folder + "/": file + ":1:1: the file is not read, as the policy is the folder policy; move " +
			"it into the folder, or away",
		file: folder + "/a.yaml:1:1: the folder policy is not read, as the policy is the file " +
			"policy.yaml; name the folder in the settings, or move it away"} {
		_, warnings, err = Load(path)
		require.NoError(t, err)
		require.Len(t, warnings, 1)
		require.Equal(t, want, warnings[0].String())
	}
}

// The settings of a further bridge stand beside its folder, and are no policy.
func TestSettingsBesideAreNoPolicy(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "br-ext")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	configtest.Write(t, filepath.Join(folder, "a.yaml"), "groups: [{name: a}]")
	configtest.Write(t, folder+".yaml", "uplinks: [eth1]\nmetrics: 127.0.0.1:9478\n")
	_, warnings, err := Load(folder)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

func TestLoaderParsesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	configtest.Write(t, a, "groups: [{name: a}]")
	configtest.Write(t, b, "groups: [{name: b}]")
	var l Loader
	_, _, err := l.Load(dir)
	require.NoError(t, err)
	oldA, oldB := l.known[a].fragment, l.known[b].fragment
	configtest.Write(t, b, "groups: [{name: a}]")
	_, _, err = l.Load(dir)
	require.ErrorContains(t, err, "defined twice")
	require.Same(t, oldA, l.known[a].fragment)
	require.NotSame(t, oldB, l.known[b].fragment)
	configtest.Write(t, a, "groups: [{name: c}]")
	p, _, err := l.Load(dir)
	require.NoError(t, err)
	require.Equal(t, "c", p.Groups[0].Name)
	require.NoError(t, os.Remove(a))
	p, _, err = l.Load(dir)
	require.NoError(t, err)
	require.Len(t, p.Groups, 1)
	require.NotContains(t, l.known, a)
}
