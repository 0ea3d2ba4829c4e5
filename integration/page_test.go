//go:build integration

package integration

import (
	"bytes"
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

	"github.com/portcullis/portcullis/integration/page"
)

// ranPages must have blocks that are run; other pages may.
var ranPages = []string{"tutorial.md", "tutorial-fleet.md", "howto/undo.md", "howto/database.md",
	"howto/members.md", "howto/to-database.md", "howto/backup.md", "howto/certificates.md",
	"howto/fleet.md", "howto/access.md", "howto/proxy.md", "howto/ci.md",
	"howto/tiers.md", "howto/private-group.md", "howto/hosts.md",
	"howto/bridges.md", "howto/upgrade.md", "howto/router.md", "howto/uplinks.md", "howto/ipv6.md",
	"howto/proxmox.md", "howto/instances.md"}

// A page is run as its reader would: what is on it in order, line by line into one shell, as root,
// on a machine that is used for something else. Blocks of files are written where the line above
// them says, blocks of commands that are marked are run, and the text behind one is what it prints.
// Afterwards the machine is as it was.
func TestPages(t *testing.T) {
	requireCapable(t)
	run := map[string]bool{}
	for _, pattern := range []string{"../docs/*.md", "../docs/howto/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range pages {
			blocks := readPage(t, path)
			if len(blocks) == 0 {
				continue
			}
			name := strings.TrimPrefix(path, "../docs/")
			run[name] = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				requirePrograms(t, blocks)
				out, err := runPage(t, blocks)
				require.NoError(t, err, "%s", out)
				comparePrinted(t, blocks, out)
			})
		}
	}
	for _, name := range ranPages {
		require.True(t, run[name], "%s has no block that is run", name)
	}
}

// What a page leaves behind is seen, whatever it is.
func TestPagesThatLeaveSomething(t *testing.T) {
	requireCapable(t)
	leavings := map[string]string{ // what is run, and the line of the difference that tells of it
		"ip link add left type veth peer name right\n":                   `> left@right`,
		"ip netns add lost\n":                                            `> lost`,
		"exec -a forgotten sleep 600 </dev/null >/dev/null 2>&1 &\n":     `> forgotten 600`,
		"touch ~/litter\n":                                               `> .*/home/litter`,
		"echo 'groups: []' >>/etc/portcullis/policy.yaml\n":              `> groups: \[\]`,
		"ovs-vsctl add-port br-int p -- set Interface p type=internal\n": `>  *Port p`,
		"ovs-ofctl add-flow br-int priority=7,actions=drop\n":            `> .*priority=7`,
	}
	script := page.Block{Line: 1, Kind: page.Run}
	for command := range leavings {
		script.Text += command
	}
	out, err := runPage(t, []page.Block{script})
	require.Error(t, err, "%s", out)
	for command, seen := range leavings {
		require.Regexp(t, "(?m)^"+seen, string(out), command)
	}
}

// requirePrograms is requireTool for the programs that a page uses and few machines have.
func requirePrograms(t *testing.T, blocks []page.Block) {
	t.Helper()
	for _, tool := range []string{"dnsmasq", "dhclient", "git", "nginx", "caddy"} {
		uses := func(b page.Block) bool {
			return b.Kind == page.Run && regexp.MustCompile(`(?m)(^|\s)`+tool+" ").MatchString(b.Text)
		}
		if slices.ContainsFunc(blocks, uses) {
			requireTool(t, tool)
		}
	}
}

// readPage are the blocks of a page that is run: its commands, and the files before the last of
// them. Other pages have none.
func readPage(t *testing.T, path string) []page.Block {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	all, err := page.Blocks(string(text))
	require.NoError(t, err, path)
	var blocks []page.Block
	end := 0 // behind the last command
	for _, b := range all {
		if b.Kind == page.Run || strings.HasPrefix(b.Name, "/") {
			blocks = append(blocks, b)
		}
		if b.Kind == page.Run {
			end = len(blocks)
		}
	}
	return blocks[:end]
}

// usedMachine makes, in namespaces of its own, a machine that is used for something else: it has
// an Open vSwitch with a bridge br-int, a network card eth1 and settings of its own. It feeds a
// page to a shell there, and fails with the difference if anything of this is not as it was. Its
// arguments are a folder with the program, the examples and the page.
const usedMachine = `set -eu -o pipefail
look() {
	ip -brief link | cut -d ' ' -f 1
	ip netns
	ps -eo args | grep -vE '^(ps |grep |sort|bash [^ ]*/machine|unshare )' | sort
	find /etc /run /var/lib/portcullis /opt ~ | sort
	cat /etc/portcullis/*
	ovs-vsctl show
	ovs-ofctl dump-flows br-int --no-stats
}
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
rm -rf /etc/openvswitch /etc/portcullis
mkdir -p /etc/openvswitch /etc/portcullis
echo 'bridge: br-int' >/etc/portcullis/portcullis.yaml
echo 'instances: []' >/etc/portcullis/policy.yaml
mount -t tmpfs run /run
mkdir /run/openvswitch
mount -t tmpfs lib /var/lib
mkdir /var/lib/portcullis
mount -t tmpfs opt /opt
cp "$1/program" /opt/portcullis
mount -t tmpfs doc /usr/share/doc
mkdir -p /usr/share/doc/portcullis/examples
cp "$1"/examples/* /usr/share/doc/portcullis/examples
hostname used
ip link set lo up
ip link add eth1 type veth peer name cable
ip link set eth1 up
ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile --detach -vconsole:off
ovs-vsctl --no-wait init
ovs-vswitchd --disable-system -vconsole:off --pidfile --detach
ovs-vsctl add-br br-int -- set bridge br-int datapath_type=netdev
export HOME="$1/home"
mkdir ~
cd ~
look >"$1/before"
cat "$1/page" | bash -eu -o pipefail
look >"$1/after"
diff "$1/before" "$1/after"
`

// runPage runs the blocks in one shell and returns what they print: behind a line with the byte
// 0x1e and the block's line.
func runPage(t *testing.T, blocks []page.Block) ([]byte, error) {
	dir := t.TempDir()
	program, err := os.ReadFile(daemon(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "program"), program, 0o755))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../docs/examples")))
	var script bytes.Buffer
	for _, b := range blocks {
		fmt.Fprintf(&script, "set -eu -o pipefail; echo '\x1e%d'\n", b.Line)
		if b.Kind == page.Run {
			script.WriteString(b.Text)
		} else {
			fmt.Fprintf(&script, "mkdir -p '%s'; cat >'%s' <<'END OF FILE'\n%sEND OF FILE\n",
				filepath.Dir(b.Name), b.Name, b.Text)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page"), script.Bytes(), 0o600))
	machine := filepath.Join(dir, "machine")
	require.NoError(t, os.WriteFile(machine, []byte(usedMachine), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
		"--kill-child", "--mount-proc", "--propagation", "private", "bash", machine, dir)
	cmd.Env = append(os.Environ(), "PATH=/opt:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
	return cmd.CombinedOutput()
}

// comparePrinted holds what each block printed against what the page says.
func comparePrinted(t *testing.T, blocks []page.Block, out []byte) {
	parts := strings.Split(string(out), "\x1e")
	require.Len(t, parts, len(blocks)+1, "%s", out)
	for i, b := range blocks {
		_, got, _ := strings.Cut(parts[i+1], "\n")
		t.Logf("line %d prints\n%s", b.Line, got)
		if b.Prints != "" {
			require.Regexp(t, page.Pattern(b.Prints), got, "line %d prints\n%s", b.Line, got)
		}
	}
}
