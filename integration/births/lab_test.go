//go:build integration

package births

// The lab, as a shell that tests give commands to. Every test of this package begins with openLab.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long one script may take: a guest boots in one, without KVM.
const patience = 12 * time.Minute

// end is the byte behind what a script prints; its exit code follows.
const end = '\x1e'

// lab is a machine of its own with one shell.
type lab struct {
	t     *testing.T
	shell *exec.Cmd
	in    io.WriteCloser
	lines chan string // what the shell prints, up to and with each end

	autopsy string // a script whose output is printed when a test has failed
}

// openLab starts a lab with the program that was built; it ends with the test.
func openLab(t *testing.T, tools ...string) *lab {
	t.Helper()
	program := os.Getenv("PORTCULLIS_BIN")
	if program == "" {
		program = "../../bin/portcullis"
	}
	program, err := filepath.Abs(program)
	require.NoError(t, err)
	for _, tool := range append(tools, program, "unshare", "ovs-vswitchd", "python3") {
		if _, err := exec.LookPath(tool); err != nil {
			skip(t, err.Error())
		}
	}
	if os.Geteuid() != 0 {
		skip(t, "only root may make network namespaces")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	l := &lab{t: t, lines: make(chan string, 1),
		autopsy: "tail -n 30 portcullis.log; portcullis status; ovs-vsctl show; ip -br link"}
	l.shell = exec.Command("bash", filepath.Join(root, "docs/examples/lab.sh"))
	l.shell.Env = append(os.Environ(), "LANG=C.UTF-8", "ROOT="+root,
		"PATH="+filepath.Dir(program)+":/usr/sbin:/usr/bin:/sbin:/bin")
	l.in, err = l.shell.StdinPipe()
	require.NoError(t, err)
	out, err := l.shell.StdoutPipe()
	require.NoError(t, err)
	l.shell.Stderr = l.shell.Stdout
	require.NoError(t, l.shell.Start())
	go l.read(out)
	t.Cleanup(l.close)
	return l
}

// skip skips the test, loudly; where everything has to be there it fails.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("PORTCULLIS_REQUIRE_OVS") == "1" {
		t.Fatalf("required here: %s", reason)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s (set PORTCULLIS_REQUIRE_OVS=1 to fail instead)", reason)
}

func (l *lab) read(out io.Reader) {
	defer close(l.lines)
	for r := bufio.NewReader(out); ; {
		text, err := r.ReadString(end)
		if err != nil {
			l.lines <- text
			return
		}
		code, err := r.ReadString('\n')
		l.lines <- text + code
		if err != nil {
			return
		}
	}
}

// close ends the lab, with all that runs in it.
func (l *lab) close() {
	if l.t.Failed() {
		out, _ := l.attempt(l.autopsy)
		l.t.Logf("the lab:\n%s", out)
	}
	_ = l.in.Close()
	ended := make(chan error, 1)
	go func() { ended <- l.shell.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = l.shell.Process.Kill() // its first process ends all others with it
		<-ended
	}
}

// attempt runs a script in the lab's shell, and returns what it prints and its exit code.
func (l *lab) attempt(script string) (string, int) {
	l.t.Helper()
	var text bytes.Buffer
	// A heredoc, so that nothing of the script is taken for the next one.
	fmt.Fprintf(&text, "lab_script=$(cat <<'END OF SCRIPT'\n%s\nEND OF SCRIPT\n)\n", script)
	fmt.Fprintf(&text, "eval \"$lab_script\" </dev/null; printf '\\x1e%%d\\n' $?\n")
	if _, err := l.in.Write(text.Bytes()); err != nil {
		return err.Error(), -1
	}
	select {
	case out := <-l.lines:
		printed, code, isWhole := strings.Cut(out, string(end))
		n, err := strconv.Atoi(strings.TrimSpace(code))
		if !isWhole || err != nil {
			return out + "\nthe lab's shell has ended", -1
		}
		return printed, n
	case <-time.After(patience):
		return "no end in " + patience.String(), -1
	}
}

// run is attempt of a script that must succeed.
func (l *lab) run(script string) string {
	l.t.Helper()
	out, code := l.attempt(script)
	require.Zero(l.t, code, "%s\n%s", script, out)
	return out
}

// refused is attempt of a script that must fail.
func (l *lab) refused(script string) string {
	l.t.Helper()
	out, code := l.attempt(script)
	require.Positive(l.t, code, "it must be refused: %s\n%s", script, out)
	return out
}

// step is a part of the test with a name of its own; what comes after it needs that it succeeds.
func (l *lab) step(name string, part func()) {
	l.t.Helper()
	whole := l.t
	defer func() { l.t = whole }()
	require.True(whole, whole.Run(name, func(t *testing.T) {
		l.t = t
		part()
	}))
}

// write writes a file of the lab.
func (l *lab) write(path, text string) {
	l.t.Helper()
	l.run(fmt.Sprintf("mkdir -p %q && cat >%q <<'END OF FILE'\n%sEND OF FILE", filepath.Dir(path),
		path, text))
}

// start starts the daemon with settings and the groups of a policy's folder, and gives it the
// uplink.
func (l *lab) start(settings, groups string) {
	l.t.Helper()
	l.write("/etc/portcullis/portcullis.yaml", settings)
	l.write("/etc/portcullis/policy/groups.yaml", groups)
	l.run(`portcullis run >portcullis.log 2>&1 &
await portcullis status --wait
ovs-vsctl add-port "$(portcullis status -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)["bridge"])')" eth1
await uplinked eth1`)
}

// reaches asserts that somebody reaches a TCP port, or does not.
func (l *lab) reaches(from, address string, port int, want bool) {
	l.t.Helper()
	verb := map[bool]string{true: "reaches", false: "does NOT reach"}[want]
	l.t.Logf("%s → %s port %d", from, address, port)
	require.Equal(l.t, fmt.Sprintf("%s %s %s port %d\n", from, verb, address, port),
		l.run(fmt.Sprintf("try %s %s %d", from, address, port)))
}

// awaits waits until a port is in a state, for 30 seconds at most; of one that is to be in force
// also until its device is the one that is there now, and up. It must have the name of its device.
func (l *lab) awaits(port, state string) {
	l.t.Helper()
	if state == "applied" {
		l.run("await plugged " + port)
		return
	}
	l.run(fmt.Sprintf(`in_state() { portcullis status -o json | python3 -c '
import json, sys
states = [p["state"] for p in json.load(sys.stdin)["ports"] if p["name"] == sys.argv[1]]
sys.exit(0 if states == [sys.argv[2]] else f"{sys.argv[1]} is {states}")' "$1" "$2"; }
await in_state %s %s`, port, state))
}
