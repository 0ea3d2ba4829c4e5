// Bounds for calls of the file system, which may hang. Everything that reads files of this package
// goes through it.

package policydir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/portcullis/portcullis/config/strictyaml"
)

// readTime is how long one look at the file system may take.
const readTime = 10 * time.Second

// errNoAnswer says that a file system, or a device that looks like a file, does not answer.
var errNoAnswer = errors.New(
	"it cannot be read to its end in time: does its file system hang, or is it no file of text?")

// patience bounds looks at the file system: a file server that hangs keeps who asks it for as long
// as it likes, and nothing ends that call. It is left to itself then, and nothing else is asked
// before it has returned, so that at most one is left. The zero patience is ready, and has
// [readTime]. Not for two goroutines at once.
type patience struct {
	time  time.Duration
	stuck chan struct{} // closed when what was left to itself has returned; nil = nothing was
}

func (p *patience) limit() time.Duration {
	if p.time == 0 {
		return readTime
	}
	return p.time
}

// inTime returns what look returns, or an error that wraps errNoAnswer and names what was looked
// at.
func inTime[T any](p *patience, name string, look func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if p.stuck != nil {
		select {
		case <-p.stuck:
			p.stuck = nil
		default:
			return none, fmt.Errorf("%s: %w", name, errNoAnswer)
		}
	}
	answer, ended := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(ended)
		v, err := look()
		answer <- result{v, err}
	}()
	timer := time.NewTimer(p.limit())
	defer timer.Stop()
	select {
	case r := <-answer:
		return r.value, r.err
	case <-timer.C:
		p.stuck = ended
		return none, fmt.Errorf("%s: %w", name, errNoAnswer)
	}
}

// listing is what policyFiles returns.
type listing struct {
	names  []string
	strays strictyaml.Warnings
}

func (p *patience) policyFiles(path string) ([]string, strictyaml.Warnings, error) {
	l, err := inTime(p, path, func() (l listing, err error) {
		l.names, l.strays, err = policyFiles(path)
		return l, err
	})
	return l.names, l.strays, err
}

// beside is the function beside; of what gives no answer there is nothing to say.
func (p *patience) beside(path string) strictyaml.Warnings {
	strays, _ := inTime(p, path, func() (strictyaml.Warnings, error) { return beside(path), nil })
	return strays
}

func (p *patience) stat(name string) (fs.FileInfo, error) {
	return inTime(p, name, func() (fs.FileInfo, error) { return os.Stat(name) })
}

// content is what readFile returns.
type content struct {
	data []byte
	info fs.FileInfo
}

// ReadFile reads a file of text, in bounded time, as far as it is not longer than accepted.
func ReadFile(name string) ([]byte, error) {
	data, _, err := new(patience).readFile(name)
	return data, err
}

func (p *patience) readFile(name string) ([]byte, fs.FileInfo, error) {
	until := time.Now().Add(p.limit() * 9 / 10) // so that it need not be left to itself
	c, err := inTime(p, name, func() (c content, err error) {
		c.data, c.info, err = readFile(name, until)
		return c, err
	})
	return c.data, c.info, err
}
