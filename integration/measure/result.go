package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// What was measured, where, and whether it is what it should be. Both benchmarks write and read it.

// Machine is where it was measured.
type Machine struct {
	When      time.Time `json:"when"`
	Program   string    `json:"program"` // as it says itself
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	OVS       string    `json:"open_vswitch"`
	Go        string    `json:"go"`
}

// Exec runs a tool and returns what it printed.
type Exec func(ctx context.Context, name string, args ...string) (string, error)

// ThisMachine is the machine that the program runs on.
func ThisMachine(ctx context.Context, run Exec, program string) Machine {
	m := Machine{When: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(),
		Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
			}
		}
	}
	if out, err := run(ctx, "ovs-vswitchd", "--version"); err == nil {
		words := strings.Fields(strings.SplitN(out, "\n", 2)[0])
		m.OVS = words[len(words)-1]
	}
	if out, err := run(ctx, program, "version"); err == nil {
		m.Program = strings.TrimSpace(strings.SplitN(out, "\n", 2)[0])
	}
	return m
}

// Verdict says whether a target is met.
type Verdict struct {
	Target string
	Found  string
	Pass   bool
}

// String is the verdict as a line.
func (v Verdict) String() string {
	word := "FAIL"
	if v.Pass {
		word = "PASS"
	}
	return fmt.Sprintf("%s  %s: %s", word, v.Target, v.Found)
}

// Save writes something as JSON.
func Save(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Load reads JSON, and says whether there was any.
func Load(path string, to any) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
