// Which files are a policy, and their content. Called by the loader, within its patience.

package policydir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Load reads the policy file at path or, if path is a folder, all its *.yaml files as one policy
// (not those of its sub-folders, nor hidden ones). Errors are of type [strictyaml.Errors] if all
// files could be read, else of the file system.
func Load(path string) (*policy.Policy, strictyaml.Warnings, error) {
	return new(Loader).Load(path)
}

// policyFiles returns the files that a path stands for, sorted, and warns of what is not read but
// looks as if it was meant to be.
func policyFiles(path string) (names []string, strays strictyaml.Warnings, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		return []string{path}, strays, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case filepath.Ext(name) == ".yaml":
			names = append(names, name)
		case filepath.Ext(name) == ".yml":
			strays = append(strays, stray(name,
				"the file is not read; only files whose names end in .yaml are: rename it"))
		}
	}
	if len(names) == 0 {
		// Not an empty policy: more likely a folder that is not mounted yet.
		return nil, nil, fmt.Errorf("%s: %w: the folder has no *.yaml file%s", path, fs.ErrNotExist,
			instead(strays))
	}
	return names, strays, nil
}

// isPolicy says whether a file has a key of policies: the settings of a further bridge stand beside
// its folder, and are named after it.
func isPolicy(name string) bool {
	text, err := os.ReadFile(name)
	return err == nil && policyKey.Match(text)
}

var policyKey = regexp.MustCompile(`(?m)^(groups|instances|networks):`)

func stray(name, message string) strictyaml.Warning {
	return strictyaml.Warning{At: policy.Position{File: name, Line: 1, Column: 1}, Message: message}
}

// beside warns of a policy beside the one that is read: of the folder policy beside policy.yaml,
// and the other way round.
func beside(path string) (strays strictyaml.Warnings) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if stem, isYAML := strings.CutSuffix(path, ".yaml"); isYAML && !info.IsDir() {
		if files, _ := filepath.Glob(globbed(stem) + "/*.yaml"); len(files) > 0 {
			strays = append(strays, stray(files[0], "the folder "+filepath.Base(stem)+
				" is not read, as the policy is the file "+filepath.Base(path)+
				"; name the folder in the settings, or move it away"))
		}
		return strays
	}
	name := path + ".yaml"
	if other, err := os.Stat(name); info.IsDir() && err == nil && other.Mode().IsRegular() &&
		isPolicy(name) {
		strays = append(strays, stray(name, "the file is not read, as the policy is the folder "+
			filepath.Base(path)+"; move it into the folder, or away"))
	}
	return strays
}

// globbed is a path for which no pattern stands.
func globbed(path string) string {
	return strings.NewReplacer("*", "\\*", "?", "\\?", "[", "\\[", "\\", "\\\\").Replace(path)
}

// instead says what a folder without policy files has in their place.
func instead(strays strictyaml.Warnings) string {
	if len(strays) == 0 {
		return ""
	}
	name := filepath.Base(strays[0].At.File)
	return ", but " + name + ", which is not read; call it " +
		strings.TrimSuffix(name, filepath.Ext(name)) + ".yaml"
}

// readFile reads a regular file up to one byte more than is accepted. The information is of before
// it was read. Some files of the kernel are regular by their mode, and yet wait for more to come
// (/proc/kmsg): these are given up at a time.
func readFile(name string, until time.Time) ([]byte, fs.FileInfo, error) {
	// a pipe must not make us wait for its other end
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", name)
	}
	_ = f.SetReadDeadline(until) // of a file that never waits there is none
	data, err := readAll(f, min(info.Size(), strictyaml.MaxFileSize+1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNoAnswer
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, info, nil
}

// readAll reads a file up to one byte more than is accepted; size is what it probably has.
func readAll(f io.Reader, size int64) ([]byte, error) {
	data := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := data.ReadFrom(io.LimitReader(f, strictyaml.MaxFileSize+1))
	return data.Bytes(), err
}
