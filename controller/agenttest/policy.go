package agenttest

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// The fake of the policy files: the loop reads it, tests write it. What is loaded is valid, or the
// error says what is not.

// Policy is policy files in memory.
type Policy struct {
	Mu      sync.Mutex
	text    string
	digest  string // of what was loaded last
	changed chan struct{}
	Slow    chan struct{}        // nil = not; else it is read when this is closed
	Partial bool                 // a file that went away is still read
	Spoil   func(*policy.Policy) // nil = not; else makes of it what no file can say
}

func newFakePolicy(text string) *Policy {
	return &Policy{text: text, changed: make(chan struct{}, 1)}
}

func (f *Policy) Load() (*policy.Policy, strictyaml.Warnings, error) {
	f.Mu.Lock()
	slow := f.Slow
	f.Mu.Unlock()
	if slow != nil {
		<-slow
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	p, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml",
		Data: []byte(f.text)}})
	if err == nil && f.Spoil != nil {
		f.Spoil(p)
	}
	if err == nil {
		f.digest = fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
	}
	return p, warnings, err
}

func (f *Policy) Whole() bool {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return !f.Partial
}

func (f *Policy) Digest() string {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.digest
}

func (f *Policy) Changed() <-chan struct{} { return f.changed }

// Write replaces the files without telling anybody; set tells.
func (f *Policy) Write(text string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.text = text
}

func (f *Policy) Set(text string) {
	f.Write(text)
	poke(f.changed)
}
