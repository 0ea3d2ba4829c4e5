package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// screen is a terminal with a shell in it, of tmux's own server for this test.
type screen struct {
	t      *testing.T
	socket string
}

// newScreen opens a terminal of a size. Without tmux there is nothing to look at; integration's
// set-up installs it.
func newScreen(t *testing.T, width, height int) *screen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") != "" {
			require.NoError(t, err)
		}
		t.Skip("no tmux here")
	}
	dir, err := os.MkdirTemp("", "screen")
	require.NoError(t, err)
	s := &screen{t: t, socket: filepath.Join(dir, "tmux")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", s.socket, "kill-server").Run()
		require.NoError(t, os.RemoveAll(dir))
	})
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height),
		"env", "PS1=prompt$ ", "NO_COLOR=", "TERM=screen-256color", "bash", "--norc", "--noprofile")
	s.until(func(text string) bool { return strings.Contains(text, "prompt$") })
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	require.NoError(s.t, err, "%v: %s", args, out)
	return string(out)
}

// types sends keys as tmux names them.
func (s *screen) types(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

// runs types a command line of the command, on an empty screen.
func (s *screen) runs(args ...string) {
	s.t.Helper()
	s.types("clear; "+command+" "+strings.Join(args, " "), "Enter")
}

// shows is what is on the screen, as somebody sees it.
func (s *screen) shows() string {
	s.t.Helper()
	return s.tmux("capture-pane", "-p")
}

// until waits until the screen is as it should be, and returns it.
func (s *screen) until(ok func(text string) bool) (text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		text = s.shows()
		return ok(text)
	}, generous, 20*time.Millisecond, "%s", s.tmux("capture-pane", "-p"))
	return text
}

// wraps says whether a line on the screen goes on in the next one.
func (s *screen) wraps() bool {
	s.t.Helper()
	joined := s.tmux("capture-pane", "-p", "-J")
	return strings.Count(joined, "\n") != strings.Count(s.shows(), "\n")
}

// manyPorts is a policy with n ports and as many rules, and long names.
func manyPorts(n int) string {
	var groups, instances strings.Builder
	for i := range n {
		fmt.Fprintf(&groups, "  - name: tier-%d-of-the-shop\n    rules:\n      - {direction: ingress, "+
			"protocol: tcp, ports: %d-%d, cidr: 0.0.0.0/0}\n", i, 1000+i, 2000+i)
		fmt.Fprintf(&instances, "  - {name: machine-%d.shop.example, groups: [tier-%d-of-the-shop], "+
			"ports: [{name: tap-shop-%d, mac: \"02:00:00:00:01:%02x\", addresses: [203.0.113.%d, "+
			"\"2001:db8:0:1::%x\"]}]}\n", i, i, i, i+1, i+1, i+1)
	}
	return "groups:\n" + groups.String() + "instances:\n" + instances.String()
}

// Terminals of 80×24 and 200×50, and one that is resized: nothing wraps, what is wrong is on the
// screen, what is not is counted; keys sort, filter and end; the prompt is as it was before.
func TestScreens(t *testing.T) {
	d := newDaemon(t)
	d.writePolicy(manyPorts(60))
	d.ready()
	d.settled()
	d.vs.Vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=dummy", "--",
		"add-port", "br-ex", "tap-elsewhere")
	d.writePolicy(manyPorts(60) + `  - {name: lost, groups: [], ports: [{name: tap-elsewhere, ` +
		`mac: "02:00:00:00:02:01", addresses: [203.0.113.99]}]}` + "\n")
	call(t, "status", "--wait", "--config", d.settings)
	for _, size := range [][2]int{{80, 24}, {200, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			s := newScreen(t, size[0], size[1])
			s.onceFits(d)
			s.watchFits(d)
		})
	}
	t.Run("resized", func(t *testing.T) {
		s := newScreen(t, 200, 50)
		s.runs("status", "--watch", "--config", d.settings)
		s.until(func(text string) bool { return strings.Contains(text, "2001:db8:0:1::1") })
		s.tmux("resize-window", "-x", "60", "-y", "15")
		text := s.until(func(text string) bool {
			return regexp.MustCompile(`q quit .* \d\d:\d\d:\d\d\n`).MatchString(text) &&
				!strings.Contains(text, "ADDRESSES")
		})
		require.Len(t, strings.Split(text, "\n"), 16)
		require.Contains(t, text, "tap-elsewhere")
		require.Contains(t, text, "more ports")
		s.types("C-c")
		s.isClean()
	})
}

// onceFits prints each command once.
func (s *screen) onceFits(d *process) {
	s.t.Helper()
	for args, first := range map[string]string{"status": "state:", "top": "counted:",
		"connections": "no connections"} {
		s.runs(args, "--config", d.settings)
		text := s.until(func(text string) bool {
			return strings.HasSuffix(strings.TrimRight(text, "\n"), "prompt$") &&
				strings.Contains(text, first)
		})
		require.False(s.t, s.wraps(), text)
		top, _, _ := strings.Cut(text, "\n")
		require.Contains(s.t, top, first, "nothing scrolled away: %s", text)
		if args == "status" {
			require.Contains(s.t, text, "degraded (60 of 61 ports in force): port tap-elsewhere: it")
			require.Regexp(s.t, `(?m)^tap-elsewhere +lost +error`, text)
			require.Regexp(s.t, `and \d+ more ports: --all`, text)
		}
	}
}

// watchFits looks at top and status until it has seen enough.
func (s *screen) watchFits(d *process) {
	s.t.Helper()
	footer := regexp.MustCompile(`q quit  s sort  / filter.* \d\d:\d\d:\d\d\n$`)
	s.runs("top", "--watch", "--config", d.settings)
	text := s.until(func(text string) bool {
		return footer.MatchString(text) && strings.Contains(text, "more rules")
	})
	for _, part := range []string{"counted:", "ADMITTED", "PORT ", "more ports"} {
		require.Contains(s.t, text, part)
	}
	require.NotContains(s.t, text, "/etc/")
	s.types("q")
	s.isClean()

	s.runs("status", "--watch", "--config", d.settings)
	s.until(func(text string) bool { return footer.MatchString(text) && strings.Contains(text, "PORT") })
	s.types("/", "shop-17", "Enter")
	s.until(func(text string) bool {
		return strings.Contains(text, "tap-shop-17 ") && !strings.Contains(text, "tap-elsewhere ") &&
			strings.Contains(text, "/shop-17")
	})
	s.types("Escape")
	s.until(func(text string) bool { return strings.Contains(text, "tap-elsewhere ") })
	s.types("s")
	s.until(func(text string) bool {
		return strings.Contains(text, "by port") &&
			strings.Index(text, "tap-shop-0 ") < strings.Index(text, "tap-shop-1 ")
	})
	s.types("C-c")
	s.isClean()
}

// isClean requires a prompt that nobody has written on.
func (s *screen) isClean() {
	s.t.Helper()
	text := s.until(func(text string) bool {
		return strings.HasSuffix(strings.TrimRight(text, "\n"), "prompt$")
	})
	require.NotContains(s.t, text, "^C")
	require.NotContains(s.t, text, "q quit")
}
