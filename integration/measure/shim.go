package measure

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Shim lets a program use what was written for tests: a failure ends the measurement, and what was
// begun is cleaned up.
type Shim struct {
	testing.TB // only the methods below are called; any other would end the program
	cleanups   []func()
}

// failure is what a Shim panics with.
type failure struct{ error }

// Helper does nothing.
func (s *Shim) Helper() {}

// Cleanup has f called at the end, the last one first.
func (s *Shim) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Fatal ends the measurement.
func (s *Shim) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf ends the measurement.
func (s *Shim) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// Skipf ends the measurement: there is none to be skipped.
func (s *Shim) Skipf(format string, args ...any) { s.Fatalf(format, args...) }

// Errorf tells of what went wrong at the end.
func (s *Shim) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// During calls f with a Shim, cleans up, and returns what failed.
func During(f func(*Shim) error) (err error) {
	s := &Shim{}
	defer func() {
		for i := len(s.cleanups) - 1; i >= 0; i-- {
			s.cleanups[i]()
		}
		if cause := recover(); cause != nil {
			failed, ok := cause.(failure)
			if !ok {
				panic(cause)
			}
			err = failed.error
		}
	}()
	return f(s)
}
