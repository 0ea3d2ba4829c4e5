package fleetlab

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A member whose clock can jump: libfaketime stands between ovsdb-server and the system's calls.
// The time that timers count by goes on as it does on a machine whose clock is set; a program in
// Go asks the kernel itself, and has the right time.

// fakeClocks are where Debian's package libfaketime has its library, for each processor.
const fakeClocks = "/usr/lib/*/faketime/libfaketimeMT.so.1"

// useFakeClock has the member start with a clock that [Server.SetClock] sets.
func (s *Server) useFakeClock() error {
	found, err := filepath.Glob(fakeClocks)
	if err != nil || len(found) == 0 {
		return fmt.Errorf("the clock of %s: there is no %s: apt-get install faketime", s.Name,
			fakeClocks)
	}
	s.environment = append(s.environment, "LD_PRELOAD="+found[0],
		"FAKETIME_TIMESTAMP_FILE="+s.path("clock"), "FAKETIME_CACHE_DURATION=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1")
	return s.SetClock(0)
}

// SetClock has the member's clock differ from the machine's from now on, or from its next start.
func (s *Server) SetClock(ahead time.Duration) error {
	err := os.WriteFile(s.path("clock.new"), fmt.Appendf(nil, "%+d\n", int(ahead.Seconds())), 0o600)
	if err == nil {
		err = os.Rename(s.path("clock.new"), s.path("clock"))
	}
	if err != nil {
		return fmt.Errorf("the clock of %s: %w", s.Name, err)
	}
	return nil
}
