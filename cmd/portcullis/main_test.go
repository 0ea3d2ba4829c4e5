package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command is the built command; TestMain builds it once.
var command string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "portcullis")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		command = filepath.Join(dir, "portcullis")
		build := exec.Command("go", "build", "-o", command, "-ldflags",
			"-X main.release=v1.2.3-test", ".")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// nowhere is where nothing can be: a name in a file that is none of a folder.
const nowhere = "/proc/self/cmdline-of-nobody"

// generous is how long a test waits for what comes by itself. It judges nobody's speed: a busy
// machine may take long.
const generous = 2 * time.Minute

const goodPolicy = `groups:
  - name: web
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
instances:
  - {name: web-1, host: hv1, groups: [web], ports: [{name: tap1, mac: "02:00:00:00:00:11", addresses: [203.0.113.11, "2001:db8::11"]}]}
  - {name: web-2, groups: [web], ports: [{name: tap2, mac: "02:00:00:00:00:12", addresses: [203.0.113.12]}]}
  - {name: web-3, host: hv2, groups: [web], ports: [{name: tap3, mac: "02:00:00:00:00:13", addresses: [203.0.113.13]}]}
`

// site writes settings and a policy, and returns the settings' path. extra are further settings.
func site(t *testing.T, policy string, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	lines := append([]string{"host: hv1", "uplinks: [eth1]", "policy: policy.yaml", `metrics: ""`,
		"ovsdb: unix:" + dir + "/db.sock", "openflow: unix:" + dir + "/br-int.mgmt",
		"api: unix:" + dir + "/api.sock"}, extra...)
	settings := filepath.Join(dir, "portcullis.yaml")
	require.NoError(t, os.WriteFile(settings, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600))
	return settings
}

// answer is what a command line did.
type answer struct {
	code        int
	out, errOut string
}

func call(t *testing.T, args ...string) answer {
	t.Helper()
	cmd := exec.Command(command, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func TestCheckAcceptsAValidPolicy(t *testing.T) {
	got := call(t, "check", "--config", site(t, goodPolicy))
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "valid: 1 group, 3 instances, 2 ports on host hv1")
	require.Empty(t, got.errOut)
}

func TestCheckNamesEveryMistake(t *testing.T) {
	settings := site(t, `groups:
  - name: web
    rules:
      - {direction: sideways, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: 0, cidr: 0.0.0.0/0}
nonsense: 1
`)
	got := call(t, "check", "--config", settings)
	require.Equal(t, 1, got.code)
	require.Empty(t, got.out)
	lines := strings.Split(strings.TrimSpace(got.errOut), "\n")
	require.Len(t, lines, 3)
	for i, part := range []string{"policy.yaml:4:", "policy.yaml:5:", "policy.yaml:6:1: "} {
		require.Contains(t, lines[i], part)
	}
}

func TestCheckNamesMistakesInTheSettings(t *testing.T) {
	got := call(t, "check", "--config", site(t, goodPolicy, "brigde: br-int"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "brigde")
	got = call(t, "check", "--config", nowhere)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, nowhere)
}

func TestCheckPrintsWarnings(t *testing.T) {
	got := call(t, "check", "--config", site(t, strings.Replace(goodPolicy, "0.0.0.0/0",
		"192.0.2.7/24", 1)))
	require.Equal(t, 0, got.code)
	require.Contains(t, got.errOut, "warning: ")
	require.Contains(t, got.errOut, "policy.yaml:4:")
}

func TestFlowsAreTheSameBytes(t *testing.T) {
	settings := site(t, goodPolicy)
	first := call(t, "flows", "--config", settings)
	require.Equal(t, 0, first.code, first.errOut)
	require.Contains(t, first.out, "table=0, priority=100,in_port=1,")
	require.Contains(t, first.out, "table=0, priority=100,in_port=3,",
		"the uplink comes after the ports")
	require.NotContains(t, first.out, "in_port=4")
	require.Equal(t, first, call(t, "flows", "--config", settings))
	require.Equal(t, 1, call(t, "flows", "--config", site(t, "groups: x")).code)
}

func TestVersion(t *testing.T) {
	require.Equal(t, answer{0, "portcullis v1.2.3-test\n", ""}, call(t, "version"))
}

func TestWrongUsageExitsWith2(t *testing.T) {
	for _, args := range [][]string{
		{"chek"}, {"check", "--nonsense"}, {"flows", "x"},
		{"status", "-o", "xml"}, {"status", "--timeout", "soon"},
		{"--nonsense"}, {"version", "x"}, {"run", "x"},
	} {
		got := call(t, args...)
		require.Equal(t, 2, got.code, args)
		require.Contains(t, got.errOut, "--help", args)
		require.Empty(t, got.out, args)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"status", "--help"}} {
		got := call(t, args...)
		require.Equal(t, 0, got.code, args)
		require.Contains(t, got.out, "Usage:")
	}
	for _, name := range []string{"run", "check", "flows", "status", "version", "completion"} {
		require.Contains(t, call(t).out, "\n  "+name)
	}
}

func TestStatusWithoutADaemon(t *testing.T) {
	got := call(t, "status", "--config", site(t, goodPolicy))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "ask the daemon")
	got = call(t, "status", "--wait", "--timeout", "100ms", "--config", site(t, goodPolicy))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "ask the daemon")
}

func TestRunRefusesAnInvalidPolicy(t *testing.T) {
	got := call(t, "run", "--config", site(t, "groups:\n  - name: web\n  - name: web\nbogus: 1\n"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "policy.yaml:3:")
	require.Contains(t, got.errOut, "bogus")
	require.Equal(t, 1, call(t, "run", "--config", site(t, goodPolicy, "bogus: 1")).code)
}
