// Command mutate breaks the compiler in one place at a time and runs the tests of package flows against each broken one. What they do
// not notice is listed: it is a gap of the tests, or a place where two ways of writing mean the same.
//
//	go run ./integration/mutate -count 40 -seed 1
//
// The places are drawn with the seed, so that other runs look elsewhere. No file of the repository is changed. The exit status is 0
// also with survivors, which somebody has to judge; it is 1 if the tests fail without any change.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tests are the ones that say what the compiler must do, cheap ones first to fail.
const tests = "Agree|Revocation|Builder|Diff|Losses|Cookie|PortMasks|RuleIDs|WellFormed|SameInput|Refuses|Unbound|Member|Names"

func main() {
	count := flag.Int("count", 40, "how many places to break")
	seed := flag.Uint64("seed", 1, "which places")
	files := flag.String("files", "guard,deliver,state,rules,service,losses,writer,index,group,port,program,compiler,compare,diff", "files of package flows, with commas")
	list := flag.Bool("list", false, "list all places and stop")
	flag.Parse()
	if err := run(strings.Split(*files, ","), *count, *seed, *list); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string, count int, seed uint64, list bool) error {
	var all []mutation
	for _, name := range files {
		found, err := mutations(filepath.Join("flows", name+".go"))
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if list {
		for _, m := range all {
			fmt.Println(m)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if fate, out := (mutation{}).try(dir); fate != survived {
		return fmt.Errorf("the tests fail without any change:\n%s", out)
	}
	random := rand.New(rand.NewPCG(seed, seed))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	counts := map[fate]int{}
	for _, m := range all {
		if counts[noticed]+counts[survived] == count {
			break
		}
		f, _ := m.try(dir)
		if counts[f]++; f == survived {
			fmt.Printf("not noticed: %s\n", m)
		}
	}
	fmt.Printf("%d places, seed %d: %d broken, %d noticed, %d not (%d others do not compile)\n",
		len(all), seed, counts[noticed]+counts[survived], counts[noticed], counts[survived], counts[refused])
	return nil
}

// fate is what became of a broken compiler.
type fate uint8

const (
	survived fate = iota
	noticed
	refused // it does not compile
)

// try runs the tests with the mutation in place of the file; the zero mutation changes nothing.
func (m mutation) try(dir string) (fate, string) {
	overlay := map[string]map[string]string{"Replace": {}}
	if m.file != "" {
		broken := filepath.Join(dir, filepath.Base(m.file))
		original, err := filepath.Abs(m.file)
		if err == nil {
			err = os.WriteFile(broken, m.text, 0o600)
		}
		if err != nil {
			return refused, err.Error()
		}
		overlay["Replace"][original] = broken
	}
	text, err := json.Marshal(overlay)
	name := filepath.Join(dir, "overlay.json")
	if err = errors.Join(err, os.WriteFile(name, text, 0o600)); err != nil {
		return refused, err.Error()
	}
	// A broken compiler may run for ever: that is noticed by the timeout.
	out, err := exec.Command("go", "test", "-overlay", name, "-vet=off", "-failfast", "-timeout", "300s", "-run", tests, "./flows", "-rapid.nofailfile").CombinedOutput()
	switch {
	case err == nil:
		return survived, ""
	case strings.Contains(string(out), "[build failed]"):
		return refused, string(out)
	}
	return noticed, string(out)
}
