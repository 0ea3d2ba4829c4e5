// Command mutate breaks a package, the compiler if none is named, in one place at a time and runs
// the package's tests against each broken one. What they do not notice is listed: it is a gap of
// the tests, or a place where two ways of writing mean the same.
//
//	go run ./integration/mutate -count 40 -seed 1
//	go run ./integration/mutate -package flows/openflow -count 0
//
// The places are drawn with the seed, so that other runs look elsewhere. No file of the repository
// is changed. The exit status is 0 also with survivors, which somebody has to judge: those that
// were judged are in equal.go. It is 1 if the tests fail without any change.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// chosen are the files and the tests of packages of which not all are worth the time.
var chosen = map[string]choice{
	"flows":               {skip: "TwentyThousandRules|AnnouncementsToManyPorts"}, // of size alone
	"controller/agent":    {files: "epochs,sync,sources,installed,watcher"},       // the loop's
	"controller/ofswitch": {files: "bundle,message,meters,watch,packetout,conn,installer"},
}

// choice names files, without .go and with commas, and by regular expressions the tests to run and
// to leave out; what is empty chooses all, and leaves out none.
type choice struct{ files, tests, skip string }

// suite is what is broken, and what should notice.
type suite struct {
	folder      string
	files       []string // paths
	tests, skip string   // regular expressions
	timeout     time.Duration
	draws       bool // by rapid
}

func main() {
	s := suite{}
	count := flag.Int("count", 40, "how many places to break; 0 = all")
	seed := flag.Uint64("seed", 1, "which places")
	list := flag.Bool("list", false, "list all places and stop")
	names := flag.String("files", "",
		"files of the package, without .go, with commas; none = those that are chosen, else all")
	flag.StringVar(&s.folder, "package", "flows", "the package's folder")
	flag.StringVar(&s.tests, "tests", "",
		"the tests that should notice, a regular expression; none = those that are chosen, else all")
	flag.DurationVar(&s.timeout, "timeout", 5*time.Minute,
		"how long the tests may run: what is broken may run for ever, and is noticed by that")
	flag.Parse()
	err := s.choose(*names)
	if err == nil {
		err = s.run(*count, *seed, *list)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// choose finds the files of these names, and sets what was not said.
func (s *suite) choose(names string) error {
	out, err := exec.Command("go", "list", "-json=GoFiles,TestImports,XTestImports",
		"./"+s.folder).Output()
	if err != nil {
		return fmt.Errorf("go list %s: %w", s.folder, err)
	}
	var all struct{ GoFiles, TestImports, XTestImports []string }
	if err := json.Unmarshal(out, &all); err != nil {
		return fmt.Errorf("go list %s: %w", s.folder, err)
	}
	s.draws = slices.Contains(slices.Concat(all.TestImports, all.XTestImports), "pgregory.net/rapid")
	if s.tests == "" {
		s.tests, s.skip = chosen[s.folder].tests, chosen[s.folder].skip
	}
	if names = cmp.Or(names, chosen[s.folder].files); names != "" {
		all.GoFiles = strings.Split(strings.ReplaceAll(names, ",", ".go,")+".go", ",")
	}
	for _, name := range all.GoFiles {
		s.files = append(s.files, filepath.Join(s.folder, name))
	}
	return nil
}

func (s *suite) run(count int, seed uint64, list bool) error {
	var all []mutation
	for _, file := range s.files {
		found, err := mutations(file)
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
	if fate, out := s.try(mutation{}, dir); fate != survived {
		return fmt.Errorf("the tests fail without any change:\n%s", out)
	}
	random := rand.New(rand.NewPCG(seed, seed))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	counts, explained := s.breakSome(all, count, dir)
	fmt.Printf("%s: %d places, seed %d: %d broken, %d noticed, %d not, %d of them for a reason "+
		"(%d others do not compile)\n", s.folder, len(all), seed, counts[noticed]+counts[survived],
		counts[noticed], counts[survived], explained, counts[refused])
	return nil
}

// breakSome breaks places until so many of them compile, and prints what is not noticed.
func (s *suite) breakSome(all []mutation, count int, dir string) (map[fate]int, int) {
	counts, explained := map[fate]int{}, 0
	for _, m := range all {
		if count > 0 && counts[noticed]+counts[survived] == count {
			break
		}
		f, _ := s.try(m, dir)
		if counts[f]++; f != survived {
			continue
		}
		fmt.Printf("not noticed: %s\n", m)
		if why := equal()[m.place()]; why != "" {
			explained++
			fmt.Printf("\t%s\n", why)
		}
	}
	return counts, explained
}

// fate is what became of a broken package.
type fate uint8

const (
	survived fate = iota
	noticed
	refused // it does not compile
)

// try runs the tests with the mutation in place of the file; the zero mutation changes nothing.
func (s *suite) try(m mutation, dir string) (fate, string) {
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
	args := []string{"test", "-overlay", name, "-vet=off", "-ldflags=-s -w", "-failfast",
		"-timeout", s.timeout.String(), "-run", s.tests, "-skip", s.skip, "./" + s.folder}
	if s.draws {
		// else what fails here is tried first by every test to come
		args = append(args, "-rapid.nofailfile")
	}
	out, err := exec.Command("go", args...).CombinedOutput()
	switch {
	case err == nil:
		return survived, ""
	case strings.Contains(string(out), "[build failed]"):
		return refused, string(out)
	}
	return noticed, string(out)
}
