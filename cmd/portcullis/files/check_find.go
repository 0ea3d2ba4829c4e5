package files

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/hostnet"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/lint"
	"github.com/portcullis/portcullis/flows/policy"
)

// How check finds what it reports: mistakes, then, in a policy that can be read, what does not fit
// the host, what cannot be compiled, and what is hardly meant.

// find answers the question.
func (c *checking) find(work *cli.Progress) *report {
	r := &report{Findings: []finding{}}
	work.Stage("reading the policy")
	in, err := c.files.Read()
	r.policy = in.Policy
	if in.Policy != nil {
		work.Stage("compiling %d instances", len(in.Policy.Instances))
	}
	for _, w := range in.Warnings {
		r.add(at(w.At, w.Field, w.Message, asWarning, ruleDoubt))
	}
	if err == nil {
		err = r.judge(in)
	}
	if err != nil {
		r.fail(err)
	}
	if in.Policy != nil && err == nil {
		c.lint(r, in)
	}
	r.Valid = !r.has(asError)
	r.Passed = r.Valid && !(c.strict && r.has(asWarning))
	return r
}

func (r *report) add(f finding) { r.Findings = append(r.Findings, f) }

func (r *report) has(s severity) bool {
	return slices.ContainsFunc(r.Findings, func(f finding) bool { return f.Severity == s })
}

// fail reports an error as the mistakes that it is made of.
func (r *report) fail(err error) {
	var mistakes strictyaml.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			r.add(ofError(m, ruleMistake))
		}
		return
	}
	for line := range strings.Lines(err.Error()) {
		r.add(finding{Message: strings.TrimSuffix(line, "\n"), Severity: asError,
			Rule: ruleUnreadable})
	}
}

// judge holds a policy against the host, and compiles it.
func (r *report) judge(in cli.Loaded) error {
	if w := in.HostWarning(); w != "" {
		r.add(finding{Message: w, Severity: asWarning, Rule: ruleHost})
	}
	misfits := in.Settings.Misfits(in.Policy.Instances)
	if !in.IsBare {
		devices, err := hostnet.Devices()
		if err != nil {
			return err
		}
		misfits = append(misfits, in.Settings.DeviceMisfits(in.Policy.Instances, devices)...)
	}
	for _, m := range misfits {
		r.add(ofError(m.Error, ruleMisfit))
	}
	if len(misfits) > 0 {
		return nil // what is compiled would not be what is meant
	}
	return r.compile(in)
}

// compile reports what would be left out, and counts.
func (r *report) compile(in cli.Loaded) error {
	ports := portsByHost(in.Policy)
	networks, groups := in.Policy.Apart()
	r.Networks, r.Groups, r.Instances = len(networks), len(groups), len(in.Policy.Instances)
	if r.Hosts = len(ports); ports[""] > 0 {
		r.Hosts--
	}
	if in.IsBare {
		for _, n := range ports {
			r.Ports += n
		}
		in.Settings.Host = largest(ports)
	} else {
		r.Host, r.Ports = in.Settings.Host, len(in.LocalPorts())
	}
	program, err := flows.Compile(in.Invented())
	if err != nil {
		return err
	}
	r.Flows = len(program.Flows)
	for _, l := range program.LeftOut {
		r.add(at(l.At, "", l.What+": left out: "+l.Reason, asError, ruleLeftOut))
	}
	return nil
}

// portsByHost counts the ports of each host that a policy names; "" = those of every host.
func portsByHost(p *policy.Policy) map[string]int {
	out := map[string]int{}
	for _, i := range p.Instances {
		out[i.Host] += len(i.Ports)
	}
	return out
}

// largest returns the host with most ports, where something may be too much. Where none is named,
// it is one that has those of every host.
func largest(ports map[string]int) string {
	best := ""
	for _, host := range slices.Sorted(maps.Keys(ports)) {
		if host != "" && (best == "" || ports[host] > ports[best]) {
			best = host
		}
	}
	return cmp.Or(best, "any")
}

// lint reports what is hardly meant, unless it is accepted.
func (c *checking) lint(r *report, in cli.Loaded) {
	s := asNote
	if c.strict {
		s = asWarning
	}
	for _, f := range lint.Check(in.Policy) {
		if !c.isIgnored(f.ID, f.Object.Name) {
			found := at(f.At, f.Field, f.Text, s, f.ID)
			found.Name = f.Object.Name
			r.add(found)
		}
	}
	paths := c.files.Policies
	if len(paths) == 0 {
		paths = []string{in.Settings.Policy}
	}
	for _, name := range strays(paths) {
		if !c.isIgnored(strayFile, filepath.Base(name)) {
			found := at(policy.Position{File: name, Line: 1, Column: 1}, "",
				"the file is not read, though it lies where a policy could; move it into the "+
					"policy's folder as *.yaml, or away", s, strayFile)
			found.Name = filepath.Base(name)
			r.add(found)
		}
	}
}

// isIgnored says whether a finding is accepted.
func (c *checking) isIgnored(id, name string) bool {
	return slices.Contains(c.ignore, id) || slices.Contains(c.ignore, id+":"+name)
}

// strayFile is the lint of files that look as if they were read.
const strayFile = "stray-file"

// strays returns the files beside those of a policy that look as if they were part of it: files of
// its name with another ending, and the YAML of folders within. Files of other endings within, and
// a policy beside the one that is read, are warned of in any case.
func strays(paths []string) []string {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		stem := strings.TrimSuffix(strings.TrimSuffix(path, ".yaml"), ".yml")
		var beside []string
		if info.IsDir() {
			within, _ := filepath.Glob(filepath.Join(path, "*", "*.yaml")) // the pattern is good
			beside = append(within, path+".yml")
		} else if stem != path {
			beside = []string{stem + ".yml", stem + ".yaml"}
		}
		for _, name := range beside {
			if isFile(name) && !isRead(name, paths) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&fs.ModeType == 0
}

// isRead says whether a file is one of those named, or in a folder that is.
func isRead(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		path = filepath.Clean(path)
		return path == name || path == filepath.Dir(name) && filepath.Ext(name) == ".yaml"
	})
}
