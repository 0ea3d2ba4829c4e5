package term

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a new pseudo-terminal: what is written to tty is read from the other end.
func terminal(t *testing.T) (tty, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = other.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return tty, other
}

func TestColoursAreForTerminals(t *testing.T) {
	tty, _ := terminal(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	require.True(t, PaintFor(tty).On)
	require.False(t, PaintFor(&bytes.Buffer{}).On)
	pipe, _, err := os.Pipe()
	require.NoError(t, err)
	require.False(t, PaintFor(pipe).On)
	t.Setenv("NO_COLOR", "1")
	require.False(t, PaintFor(tty).On)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	require.False(t, PaintFor(tty).On)
}

// looks are what is to be shown, one after the other; then ctx ends.
func looks(texts []string, end func()) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if len(texts) == 0 {
			end()
			return "never shown", nil
		}
		now := texts[0]
		texts = texts[1:]
		return now, nil
	}
}

func TestWatch(t *testing.T) {
	ticks := make(chan time.Time)
	close(ticks)
	for format, want := range map[Format]string{Table: "a\n\nb\n", JSON: "a\nb\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		require.NoError(t, Watch(ctx, &out, format, ticks,
			looks([]string{"a\n", "", "b\n"}, cancel)))
		require.Equal(t, want, out.String())
	}
	tty, other := terminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, Watch(ctx, tty, Table, ticks, looks([]string{"a"}, cancel)))
	buffer := make([]byte, 100)
	n, err := other.Read(buffer)
	require.NoError(t, err)
	require.Equal(t, clearScreen+"a", string(buffer[:n]))
	gone := errors.New("gone")
	require.ErrorIs(t, Watch(t.Context(), &out{gone}, Table, ticks, looks([]string{"a"}, nil)),
		gone)
}

// out is what nobody reads any more.
type out struct{ err error }

func (o *out) Write([]byte) (int, error) { return 0, o.err }
