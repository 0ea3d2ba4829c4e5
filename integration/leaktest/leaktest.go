// Package leaktest fails a package's tests if goroutines are left when they are over. Use it as the package's TestMain:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// A goroutine that outlives its owner holds a connection, a file or a child process, and does to a daemon in a year what no test of a
// second shows. The package must not know of the packages that it watches.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines may take to end after the last test.
const patience = time.Minute

// Main runs the tests and exits: with 1 where they pass but leave goroutines, which it lists with their stacks.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := Left(patience); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left when all tests are over:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// Left waits until no goroutine but the caller's and those of the runtime and package testing is there, and returns the stacks of those
// that are after the given time.
func Left(patience time.Duration) []string {
	pause := time.Millisecond
	for deadline := time.Now().Add(patience); ; pause = min(2*pause, 100*time.Millisecond) {
		left := others()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pause) // nothing tells when a goroutine has ended
	}
}

// others returns the stacks of all goroutines but the caller's and the expected ones. The first stack is the caller's.
func others() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var out []string
	for _, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n")[1:] {
		if !expected(stack) {
			out = append(out, stack)
		}
	}
	return out
}

// expected says whether a goroutine is of the runtime, of package testing or of package os/signal, whose one watcher never ends.
func expected(stack string) bool {
	_, frames, _ := strings.Cut(stack, "\n")
	for _, prefix := range []string{"testing.", "os/signal.", "runtime.", "runtime/"} {
		if strings.HasPrefix(frames, prefix) {
			return true
		}
	}
	return false
}
