// Command apidemo shows the API at work: it starts a policy database, `portcullis serve`, and two
// hosts with an Open vSwitch and a daemon each, and builds the example policy by curl: it prints
// each request, its answer, and which packets pass or not beside what was expected. It exits with 1
// on any difference.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/example"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, "."); err != nil {
		fmt.Fprintln(os.Stderr, "demo-api:", err)
		os.Exit(1)
	}
}

var errDifferent = errors.New("what was seen differs from what was expected")

// address is where the server listens, where the operator is.
const address = "127.0.0.1:8080"

// demo is a fleet with an API server, and the example that is built by it.
type demo struct {
	*fleetlab.Lab
	ctx     context.Context
	out     io.Writer
	program string
	token   string
	policy  *policy.Policy
}

// run shows it; root is the folder of the repository.
func run(ctx context.Context, out io.Writer, root string) error {
	began := time.Now()
	d, err := build(ctx, out, root)
	if err == nil {
		var stop func()
		if stop, err = d.serve(); err == nil {
			err = d.show()
			stop()
		}
	}
	if d.Lab != nil {
		if err != nil && !errors.Is(err, errDifferent) {
			err = errors.Join(err, errors.New(d.Report()))
		}
		err = errors.Join(err, d.Close())
	}
	if err == nil {
		fmt.Fprintf(out, "\nAll as expected, in %s.\n", time.Since(began).Round(100*time.Millisecond))
	}
	return err
}

// build makes the fleet: the example's instances are there, and in no group yet.
func build(ctx context.Context, out io.Writer, root string) (*demo, error) {
	d := &demo{ctx: ctx, out: out, program: os.Getenv("PORTCULLIS_BIN")}
	if d.program == "" {
		d.program = filepath.Join(root, "bin", "portcullis")
	}
	var err error
	if d.program, err = filepath.Abs(d.program); err != nil {
		return d, err
	}
	spec, err := example.Spec(filepath.Join(root, example.PolicyFile), d.program)
	if err != nil {
		return d, err
	}
	text := example.OnHosts(spec.Policy, "hv1", "hv2")
	d.policy, _, err = policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(text)}})
	if err != nil {
		return d, err
	}
	bare := &policy.Policy{}
	for _, i := range d.policy.Instances {
		alone := *i
		alone.Groups = nil
		bare.Instances = append(bare.Instances, &alone)
	}
	d.Lab, err = fleetlab.New(fleetlab.Options{Program: d.program, Members: 1, Hosts: 2,
		Policy: string(policyfile.Marshal(bare)), Outside: spec.Outside, Gateways: spec.Gateways})
	return d, err
}

// enter is a command where the operator is.
func (d *demo) enter(ctx context.Context, name string, args ...string) *exec.Cmd {
	words := append(strings.Fields(d.Operator.Enter()), name)
	return exec.CommandContext(ctx, words[0], append(words[1:], args...)...)
}

// serve starts the server, and makes a token.
func (d *demo) serve() (stop func(), err error) {
	text, err := d.Portcullis("token", "create", "--role", "operator", "--db", d.Endpoint())
	if err != nil {
		return nil, err
	}
	d.token = strings.TrimSpace(text)
	fmt.Fprintf(d.out, "A policy database, two hosts, and\n\n  portcullis serve --db %s --listen %s\n\n"+
		"with a token that 'portcullis token create --role operator' has made.\n", d.Endpoint(), address)
	ctx, cancel := context.WithCancel(context.Background())
	server := d.enter(ctx, d.program, "serve", "--db", d.Endpoint(), "--listen", address, "--socket", "")
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	if err := server.Start(); err != nil {
		cancel()
		return nil, err
	}
	stop = func() { cancel(); _ = server.Wait() }
	for late := time.After(time.Minute); ; {
		if d.enter(d.ctx, "curl", "-sf", "http://"+address+"/healthz").Run() == nil {
			return stop, nil
		}
		select {
		case <-late:
			stop()
			return nil, errors.New("the server does not answer")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// curl asks the API, and prints what is asked and answered.
func (d *demo) curl(method, path string, body any, flags ...string) (string, error) {
	args := append([]string{"-sS", "--fail-with-body", "-X", method}, flags...)
	shown := "curl -X " + method
	for n := 1; n < len(flags); n += 2 {
		shown += fmt.Sprintf(" -H '%s'", flags[n])
	}
	shown += " $API" + path
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return "", err
		}
		args, shown = append(args, "-d", string(text)), shown+" -d '"+string(text)+"'"
	}
	fmt.Fprintf(d.out, "\n$ %s\n", shown)
	args = append(args, "-H", "Authorization: Bearer "+d.token, "http://"+address+path)
	answer, err := d.enter(d.ctx, "curl", args...).CombinedOutput()
	for line := range strings.Lines(string(answer)) {
		fmt.Fprintf(d.out, "  %s", line)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", shown, err, answer)
	}
	return string(answer), nil
}

// show builds the example, takes a rule away, and puts it back.
func (d *demo) show() error {
	fmt.Fprintln(d.out, "\nThe groups, each with all of its rules, those that others name first:")
	for _, name := range []string{"management", "frontend", "backend"} {
		g := d.group(name)
		body := map[string]any{"description": g.Description, "rules": g.Rules}
		if _, err := d.curl("PUT", "/v1/groups/"+name, body); err != nil {
			return err
		}
	}
	fmt.Fprintln(d.out, "\nThe instances into their groups:")
	for _, i := range d.policy.Instances {
		if _, err := d.curl("PATCH", "/v1/instances/"+i.Name, map[string]any{"groups": i.Groups}, "-H",
			"If-Match: *"); err != nil {
			return err
		}
	}
	if err := d.inForce(); err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	example.PrintLegend(d.out)
	for _, f := range []testnet.Family{testnet.IPv4, testnet.IPv6} {
		seen, err := example.Seen(d.Lab, f)
		if err != nil {
			return err
		}
		if !example.PrintTables(d.out, f, example.Expected(f), seen) {
			return errDifferent
		}
	}
	return d.showChange()
}

// group is one of the example, without the places where it is written.
func (d *demo) group(name string) *policy.Group {
	for _, g := range d.policy.Groups {
		if g.Name == name {
			out := *g
			out.Rules = nil
			for _, r := range g.Rules {
				r.At = policy.Position{}
				out.Rules = append(out.Rules, r)
			}
			return &out
		}
	}
	panic("the example has no group " + name)
}

// inForce waits until the present generation is in force on every host.
func (d *demo) inForce() error {
	answer, err := d.curl("GET", "/v1/status?wait=30s", nil)
	if err == nil && !strings.Contains(answer, `"in_force":true`) {
		err = errors.New("it is not in force on every host")
	}
	return err
}

// showChange asks what a change would do, makes it, and undoes it.
func (d *demo) showChange() error {
	fmt.Fprintln(d.out, "\nWhat if the rule went that lets frontend into backend? And then it goes:")
	text, err := d.curl("GET", "/v1/groups/backend", nil)
	if err != nil {
		return err
	}
	var backend struct {
		Rules []struct{ ID, Ports, Group string }
	}
	if err := json.Unmarshal([]byte(text), &backend); err != nil {
		return err
	}
	id := ""
	for _, r := range backend.Rules {
		if r.Ports == "3306" && r.Group == "frontend" {
			id = r.ID
		}
	}
	path := "/v1/groups/backend/rules/" + id
	if _, err := d.curl("DELETE", path+"?dry_run=true", nil); err != nil {
		return err
	}
	made, err := d.curl("DELETE", path, nil)
	if err != nil {
		return err
	}
	if err := d.mysql("does not pass", false); err != nil {
		return err
	}
	var done struct{ Generation int }
	if err := json.Unmarshal([]byte(made), &done); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "\nBack to the generation before:")
	if _, err := d.curl("POST", fmt.Sprintf("/v1/changes/%d/rollback", done.Generation-1),
		nil); err != nil {
		return err
	}
	return d.mysql("passes", true)
}

// mysql tries whether web-1 reaches db-1.
func (d *demo) mysql(expected string, want bool) error {
	if err := d.inForce(); err != nil {
		return err
	}
	passes, err := d.Admits("web-1", "db-1", testnet.TCP(3306), testnet.IPv4)
	if err != nil {
		return err
	}
	seen := "does not pass"
	if passes {
		seen = "passes"
	}
	fmt.Fprintf(d.out, "\n  mysql from web-1 to db-1: expected %s, seen %s\n", expected, seen)
	if passes != want {
		return errDifferent
	}
	return nil
}
