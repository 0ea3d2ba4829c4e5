// Package instancefile changes one instance of a policy that is a folder of files: each instance
// that a program has put there has a file of its own. The commands instance and hook call it.
//
// Invariant: files of others are not touched, and what would make the policy invalid is not
// written: one bad file would keep every later change of anybody out.
package instancefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// header is the first line of the files that this package writes; others it leaves alone.
const header = "# Of `portcullis instance`, which writes it anew. Without this line it is left alone.\n"

// Change is what becomes of one instance.
type Change struct {
	Name string
	Edit edit.Edit
	// Agrees says whether an instance that stands in a file of somebody else's may stay as it is
	// where the edit makes another of it, or takes it away (nil); a nil Agrees = it may not.
	Agrees func(stands, wanted *policy.Instance) bool
}

// Planned is a change that may be made. With no difference between the files there is none.
type Planned struct {
	Before, After *policy.Policy
	Files         []policydir.Content // as they shall be, by path
	// LeftTo is the file of somebody else's that has the instance, which stays; "" = none has it.
	LeftTo string
}

// Plan makes the files of a folder what they are with a change. The error says what is wrong with
// the policy that is there, with the edit, or with the policy that it would be.
func (c Change) Plan(folder string, files []policydir.Content) (Planned, error) {
	before, err := parse(files)
	if err != nil {
		return Planned{}, fmt.Errorf("nothing was changed: the policy is not valid as it is:\n%w", err)
	}
	after, err := c.Edit(before)
	if err != nil {
		return Planned{}, err
	}
	stands, wanted := before.Instance(c.Name), after.Instance(c.Name)
	file := filepath.Join(folder, fileName(c.Name))
	if stands != nil {
		file = stands.At.File
	}
	at := slices.IndexFunc(files, func(f policydir.Content) bool { return f.Path == file })
	out := Planned{Before: before, Files: slices.Clone(files)}
	switch {
	case stands == wanted: // also where there is none, and is to be none
		out.After = before
		return out, nil
	case stands != nil && !isOurs(files[at]):
		if c.Agrees == nil || !c.Agrees(stands, wanted) {
			return Planned{}, fmt.Errorf("instance %s: it is in %s, which is not of `portcullis "+
				"instance`: change it there", wording.Quote(c.Name), stands.At)
		}
		out.After, out.LeftTo = before, file
		return out, nil
	case stands == nil && at >= 0 && !isOurs(files[at]) && !isFree(files[at]):
		return Planned{}, fmt.Errorf("instance %s: its file would be %s, which is there and has "+
			"something else: rename that", wording.Quote(c.Name), file)
	}
	if out.Files, err = replaced(out.Files, at, file, wanted); err != nil {
		return Planned{}, err
	}
	if out.After, err = parse(out.Files); err != nil {
		return Planned{}, fmt.Errorf("nothing was changed: the policy would not be valid:\n%w", err)
	}
	return out, nil
}

// replaced are files of which one, that at an index or a new one, has an instance and what came
// with it; nil = it goes, with all of it.
func replaced(files []policydir.Content, at int, file string,
	wanted *policy.Instance) ([]policydir.Content, error) {
	part := &policy.Policy{}
	if at >= 0 {
		var err error
		if part, err = policyfile.ParsePart(source(files[at])); err != nil {
			return nil, err
		}
	}
	if len(part.Instances) > 1 {
		return nil, fmt.Errorf("%s has %d instances: a file of `portcullis instance` has one; take "+
			"its first line away and change it by hand", file, len(part.Instances))
	}
	switch {
	case wanted != nil:
		whole := *part
		whole.Instances = []*policy.Instance{wanted}
		next := content(file, append([]byte(header), policyfile.Marshal(&whole)...))
		if at < 0 {
			files = append(files, next)
			slices.SortFunc(files, func(a, b policydir.Content) int {
				return strings.Compare(a.Path, b.Path)
			})
			return files, nil
		}
		files[at] = next
	case len(files) == 1: // a folder without files is no policy
		files[at] = content(file, []byte(header+"instances: []\n"))
	default:
		files = slices.Delete(files, at, at+1)
	}
	return files, nil
}

func content(file string, text []byte) policydir.Content {
	sum := sha256.Sum256(text)
	return policydir.Content{Path: file, Sum: hex.EncodeToString(sum[:]), Size: int64(len(text)),
		Text: text, Mode: fs.FileMode(0o644)}
}

// fileName is the name of an instance's file; that of a project's has the project's name in it.
func fileName(instance string) string {
	return strings.ReplaceAll(strings.TrimLeft(instance, "."), "/", "__") + ".yaml"
}

func isOurs(f policydir.Content) bool { return bytes.HasPrefix(f.Text, []byte(header)) }

// isFree says whether a file says nothing.
func isFree(f policydir.Content) bool {
	part, err := policyfile.ParsePart(source(f))
	return err == nil && len(part.Groups)+len(part.Instances)+len(part.Projects) == 0
}

func source(f policydir.Content) strictyaml.File {
	return strictyaml.File{Name: f.Path, Data: f.Text}
}

func parse(files []policydir.Content) (*policy.Policy, error) {
	if len(files) == 0 {
		return nil, errors.New("the folder has no *.yaml file")
	}
	list := make([]strictyaml.File, len(files))
	for n, f := range files {
		list[n] = source(f)
	}
	p, _, err := policyfile.Parse(list)
	return p, err
}
