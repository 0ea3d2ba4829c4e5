//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A page of the documentation is run as its reader would: its blocks in order, as root, on a
// machine of its own.
//
//	```sh run                              is run
//	```sh run again                        is run, and before every how-to as well
//	```text  (right behind such a block)   is what it prints; … stands for anything within a line
//	```yaml /etc/portcullis/policy.yaml    is written there
//
// Blocks of any other kind are for reading only.

// ranPages must have blocks that are run; other pages may.
var ranPages = []string{"tutorial.md", "howto/tiers.md", "howto/private-group.md", "howto/hosts.md",
	"howto/bridges.md", "howto/upgrade.md"}

func TestPages(t *testing.T) {
	requireCapable(t)
	pages, err := filepath.Glob("../docs/howto/*.md")
	require.NoError(t, err)
	tutorial := readBlocks(t, "../docs/tutorial.md")
	once := slices.DeleteFunc(slices.Clone(tutorial), func(b block) bool { return !b.again })
	run := map[string][]block{"tutorial.md": tutorial}
	for _, page := range pages {
		if blocks := readBlocks(t, page); len(blocks) > 0 {
			run["howto/"+filepath.Base(page)] = slices.Concat(once, blocks)
		}
	}
	for name, blocks := range run {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runPage(t, blocks)
		})
	}
	for _, page := range ranPages {
		require.NotEmpty(t, run[page], "%s has no block that is run", page)
	}
}

// block is a fenced block that is run.
type block struct {
	line   int    // where it begins
	again  bool   // it is run before every how-to
	script string // of a shell
	want   string // what it prints; "" = whatever
}

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func readBlocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var blocks []block
	end := 0 // of the last block that is run
	for _, at := range fence.FindAllSubmatchIndex(text, -1) {
		kind, body := string(text[at[2]:at[3]]), string(text[at[4]:at[5]])
		line := strings.Count(string(text[:at[0]]), "\n") + 1
		path, isFile := strings.CutPrefix(kind, "yaml /")
		switch {
		case kind == "sh run" || kind == "sh run again":
			blocks = append(blocks, block{line: line, again: kind != "sh run", script: body})
			end = at[1]
		case isFile:
			blocks = append(blocks,
				block{line: line, script: "cat >/" + path + " <<'END OF FILE'\n" + body + "END OF FILE\n"})
		case kind == "text" && end != 0 && strings.TrimSpace(string(text[end:at[0]])) == "":
			blocks[len(blocks)-1].want = body
		}
	}
	return blocks
}

// machineScript runs a script as the first process of a machine of its own: all processes, links
// and namespaces end with it, what it writes in /etc and /run is lost, and a fresh Open vSwitch
// runs in the usual place. Its arguments are a folder and the script.
const machineScript = `set -eu
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
rm -rf /etc/openvswitch /etc/portcullis
mkdir -p /etc/openvswitch /etc/portcullis
mount -t tmpfs run /run
mkdir /run/openvswitch
mount -t tmpfs doc /usr/share/doc
mkdir -p /usr/share/doc/portcullis/examples
cp "$1"/examples/* /usr/share/doc/portcullis/examples
ip link set lo up
ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile --detach --log-file="$1/ovsdb-server.log" -vconsole:off
ovs-vsctl --no-wait init
ovs-vswitchd --disable-system --pidfile --detach --log-file="$1/ovs-vswitchd.log" -vconsole:off
mkdir "$1/home"
cd "$1/home"
exec bash -eu -o pipefail "$2"
`

// runPage runs the blocks in one shell, and holds what each prints against what the page says.
func runPage(t *testing.T, blocks []block) {
	dir := t.TempDir()
	program, err := filepath.Abs(daemon(t))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../docs/examples")))
	var script strings.Builder
	for _, b := range blocks {
		fmt.Fprintf(&script, "echo '\x1e%d'\n%s", b.line, b.script)
	}
	for name, text := range map[string]string{"machine": machineScript, "page": script.String()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
		"--kill-child", "--mount-proc", "--propagation", "private",
		"bash", filepath.Join(dir, "machine"), dir, filepath.Join(dir, "page"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME="+dir+"/home", "LANG=C.UTF-8")
	out, err := cmd.CombinedOutput()
	parts := strings.Split(string(out), "\x1e")
	require.NoError(t, err, "%s", out)
	require.Len(t, parts, len(blocks)+1, "%s", out)
	for i, b := range blocks {
		_, got, _ := strings.Cut(parts[i+1], "\n")
		t.Logf("line %d prints\n%s", b.line, got)
		if b.want != "" {
			require.Regexp(t, pattern(b.want), got, "line %d prints\n%s", b.line, got)
		}
	}
}

// pattern matches a text in which … stands for anything within a line.
func pattern(text string) *regexp.Regexp {
	return regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*") + `\z`)
}

func TestReadBlocks(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	text := "a\n```sh\nnot run\n```\n```sh run\necho x\n```\n```text\nx\n```\nb\n```text\nnot of a block\n```\n```yaml /etc/f\nk: v\n```\n"
	require.NoError(t, os.WriteFile(page, []byte(text), 0o600))
	require.Equal(t, []block{
		{5, false, "echo x\n", "x\n"},
		{15, false, "cat >/etc/f <<'END OF FILE'\nk: v\nEND OF FILE\n", ""},
	}, readBlocks(t, page))
	require.Regexp(t, pattern("a … c\n"), "a b c\n")
	require.NotRegexp(t, pattern("a … c\n"), "a\nc\n")
	require.NotRegexp(t, pattern("a.c\n"), "abc\n")
}
