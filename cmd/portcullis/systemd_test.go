package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSystemdIsToldTheStatus(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.awaitNotified(func(notice string) bool {
		return strings.Contains(notice, "STATUS=in sync (2 of 2 ports in force)")
	})
	d.writePolicy("bogus: 1\n")
	d.awaitNotified(func(notice string) bool { return strings.Contains(notice, "not valid") })
	d.stop(os.Interrupt)
}

func TestTheWatchdogIsFed(t *testing.T) {
	d := newDaemon(t)
	const interval = 400 * time.Millisecond
	d.environment = []string{fmt.Sprintf("WATCHDOG_USEC=%d", interval.Microseconds())}
	d.ready()
	// again and again; that it is four times in the interval is in the code, and a busy machine may
	// be late
	for range 10 {
		d.awaitNotified(func(notice string) bool { return notice == "WATCHDOG=1" })
	}
	d.stop(os.Interrupt)

	d.environment = []string{"WATCHDOG_USEC=soon"}
	d.start()
	require.Error(t, d.cmd.Wait())
	require.Contains(t, d.said(), "watchdog")
}

func TestNobodyIsToldWithoutSystemd(t *testing.T) {
	d := newDaemon(t)
	d.environment = []string{"NOTIFY_SOCKET="}
	d.start()
	d.settled()
	d.stop(os.Interrupt)
}

// A socket that is full because nobody reads it holds up neither the loop nor a stop.
func TestDeafSystemdHoldsUpNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	deaf, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer deaf.Close()
	teller, err := net.Dial("unixgram", path)
	require.NoError(t, err)
	defer teller.Close()
	for err == nil {
		require.NoError(t, teller.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
		_, err = teller.Write([]byte("full"))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	d := newDaemon(t)
	d.environment = []string{"NOTIFY_SOCKET=" + path}
	d.start()
	d.settled()
	d.stop(os.Interrupt)
}
