package main

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// shim lets a program use what was written for tests: a failure ends the measurement, and what was
// begun is cleaned up.
type shim struct {
	testing.TB // only the methods below are called; any other would end the program
	cleanups   []func()
}

// failure is what a shim panics with.
type failure struct{ error }

// Helper does nothing.
func (s *shim) Helper() {}

// Cleanup has f called at the end, the last one first.
func (s *shim) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Fatal ends the measurement.
func (s *shim) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf ends the measurement.
func (s *shim) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// Skipf ends the measurement: there is none to be skipped.
func (s *shim) Skipf(format string, args ...any) { s.Fatalf(format, args...) }

// Errorf tells of what went wrong at the end.
func (s *shim) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// during calls f with a shim, cleans up, and returns what failed.
func during(f func(*shim) error) (err error) {
	s := &shim{}
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
