package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A tenant's file names a group of another project that shares it, by every command that reads
// files. One that is not shared, and one that is not there, are refused in the same words.
func TestTenantNamesASharedGroup(t *testing.T) {
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	for _, args := range [][]string{{"project", "add", "acme"}, {"project", "add", "other"},
		{"group", "add", "other/balancers", "--shared"}, {"group", "add", "other/secret"},
		{"group", "add", "common"}} {
		s.must(operator, args...)
	}
	made := s.must(operator, "token", "create", "--role", "editor", "--project", "acme")
	tenant := strings.TrimSpace(made.out)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(group string) {
		t.Helper()
		require.NoError(t, os.WriteFile(file, []byte("groups:\n  - name: web\n    rules:\n      - "+
			"{direction: ingress, protocol: tcp, ports: 443, group: "+group+"}\n"), 0o600))
	}
	write("other/balancers")
	planned := s.must(tenant, "apply", "-f", file, "--dry-run")
	assert.Contains(t, planned.out, "nothing was written")
	s.must(tenant, "apply", "-f", file)
	assert.Contains(t, s.must(tenant, "rule", "list", "web").out, "from group other/balancers")
	assert.Contains(t, s.must(operator, "rule", "list", "acme/web").out, "from group other/balancers")
	exported := s.must(tenant, "export").out
	require.NoError(t, os.WriteFile(file, []byte(exported), 0o600))
	assert.Contains(t, s.must(tenant, "apply", "-f", file, "--prune").out, "unchanged")
	s.must(tenant, "rule", "add", "web", "ingress", "tcp", "80", "from", "group", "other/balancers")
	s.must(tenant, "group", "set", "web", "--description", "the front")

	var said []string
	for _, group := range []string{"other/secret", "other/nothing", "nobody/nothing"} {
		write(group)
		for _, args := range [][]string{{"apply", "-f", file}, {"apply", "-f", file, "--dry-run"},
			{"rule", "add", "web", "ingress", "tcp", "443", "from", "group", group}} {
			got := s.call(tenant, args...)
			require.Equal(t, 1, got.code, "%v: %s", args, got.out)
			_, words, _ := strings.Cut(got.errOut, ".group: ") // where it is among the own ones may differ
			said = append(said, strings.ReplaceAll(words, group, "GROUP"))
		}
	}
	for n := range said {
		assert.Equal(t, said[n%3], said[n])
		assert.Contains(t, said[n], `"GROUP"`)
		assert.NotContains(t, said[n], "secret")
	}
	assert.NotContains(t, s.must(tenant, "export").out, "secret")
	said = nil
	for _, group := range []string{"other/secret", "other/nothing", "/common", "/nothing"} {
		for path, body := range map[string]string{"instances/vm": `{"groups":["` + group + `"],"ports":[
			{"name":"tap1","mac":"02:00:00:00:00:17"}]}`, "groups/db": `{"rules":[{"direction":"egress",
			"protocol":"any","group":"` + group + `"}]}`} {
			got := s.ask(tenant, http.MethodPut, "/v1/projects/acme/"+path, body)
			require.Equal(t, 422, got.code, "%s %s", group, got.out)
			assert.Contains(t, got.out, "and no other project shares one of this name")
			said = append(said, path+strings.ReplaceAll(got.out, strings.TrimPrefix(group, "/"), "GROUP"))
		}
	}
	slices.Sort(said)
	for n := range said {
		said[n], _, _ = strings.Cut(said[n], `"request"`)
	}
	assert.Len(t, slices.Compact(said), 2, "whose it is makes no difference")
}
