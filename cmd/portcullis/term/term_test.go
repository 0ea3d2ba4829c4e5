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

// texts are what is to be shown, one after the other; then ctx ends.
func texts(list []string, end func()) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if len(list) == 0 {
			end()
			return "never shown", nil
		}
		now := list[0]
		list = list[1:]
		return now, nil
	}
}

func TestBlocks(t *testing.T) {
	ticks := make(chan time.Time)
	close(ticks)
	for format, want := range map[Format]string{Table: "a\n\nb\n", JSON: "a\nb\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		require.NoError(t, Blocks(ctx, &out, format, ticks,
			texts([]string{"a\n", "", "b\n"}, cancel)))
		require.Equal(t, want, out.String())
	}
	gone := errors.New("gone")
	require.ErrorIs(t, Blocks(t.Context(), &out{gone}, Table, ticks, texts([]string{"a"}, nil)),
		gone)
}

// out is what nobody reads any more.
type out struct{ err error }

func (o *out) Write([]byte) (int, error) { return 0, o.err }

// A screen is for people who look at one.
func TestScreensAreForTerminals(t *testing.T) {
	tty, _ := terminal(t)
	t.Setenv("TERM", "xterm")
	require.True(t, IsScreen(tty, Table))
	require.False(t, IsScreen(tty, JSON))
	require.False(t, IsScreen(&bytes.Buffer{}, Table))
	require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ,
		&unix.Winsize{Row: 24, Col: 80}))
	require.Equal(t, Size{80, 24}, SizeOf(tty))
	require.Equal(t, Size{}, SizeOf(&bytes.Buffer{}))
	t.Setenv("TERM", "dumb")
	require.False(t, IsScreen(tty, Table))
}

func TestTimesAsPeopleSayThem(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.Local)
	for want, ago := range map[string]time.Duration{"0 s ago": -time.Hour, "59 s ago": 59 * time.Second,
		"1 min ago": time.Minute, "47 h ago": 47 * time.Hour, "2 days ago": 48 * time.Hour} {
		require.Equal(t, want, Ago(now.Add(-ago), now))
	}
	require.Equal(t, "5 min ago (14:59:05)", Moment(now.Add(-5*time.Minute), now))
	require.Equal(t, "20 h ago (2026-01-01 19:04:05)", Moment(now.Add(-20*time.Hour), now))
	require.Equal(t, "never", Moment(time.Time{}, now))
	require.Equal(t, "1 port", Count(1, "port", "ports"))
	require.Equal(t, "0 ports", Count(0, "port", "ports"))
}
