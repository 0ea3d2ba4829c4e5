// Command fleetdemo shows a fleet at work: it starts three members of a policy database, a relay
// and hosts with an Open vSwitch and a daemon each, all in network namespaces, and puts the example
// policy's instances on the hosts in turn. It tries every service between every two of them with
// real packets and prints what was expected beside what was seen, before a change and after it. It
// exits with 1 on any difference. FLEET_HOSTS=N takes N hosts; with FLEET_KEEP=1 it goes on running
// until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/example"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, "."); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

var errDifferent = errors.New("what was seen differs from what was expected")

// defaultHosts is how many hosts there are unless FLEET_HOSTS says otherwise.
const defaultHosts = 3

// run shows the fleet; root is the folder of the repository.
func run(ctx context.Context, out io.Writer, root string) error {
	began := time.Now()
	l, policy, err := build(root)
	if err != nil {
		if l != nil {
			err = errors.Join(err, errors.New(l.Report()), l.Close())
		}
		return err
	}
	err = show(out, l, policy)
	if err == nil {
		fmt.Fprintf(out, "\nAll as expected, in %s.\n", time.Since(began).Round(100*time.Millisecond))
	}
	if os.Getenv("FLEET_KEEP") == "1" {
		keep(ctx, out, l)
	}
	return errors.Join(err, l.Close())
}

// build makes the fleet, with the example policy in force. The program is PORTCULLIS_BIN, or
// bin/portcullis.
func build(root string) (*fleetlab.Lab, string, error) {
	program := os.Getenv("PORTCULLIS_BIN")
	if program == "" {
		program = filepath.Join(root, "bin", "portcullis")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, "", fmt.Errorf("find the program: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, "", fmt.Errorf("build the program first: %w", err)
	}
	spec, err := example.Spec(filepath.Join(root, example.PolicyFile), program)
	if err != nil {
		return nil, "", err
	}
	hosts := defaultHosts
	if text := os.Getenv("FLEET_HOSTS"); text != "" {
		if hosts, err = strconv.Atoi(text); err != nil || hosts < 1 {
			return nil, "", fmt.Errorf("FLEET_HOSTS=%s: must be a number from 1", text)
		}
	}
	var names []string
	for n := range hosts {
		names = append(names, fmt.Sprintf("hv%d", n+1))
	}
	policy := example.OnHosts(spec.Policy, names...)
	l, err := fleetlab.New(fleetlab.Options{Program: program, Members: 3, Hosts: hosts, HasRelay: true,
		Policy: policy, Outside: spec.Outside, Gateways: spec.Gateways})
	return l, policy, err
}

func show(out io.Writer, l *fleetlab.Lab, policy string) error {
	if err := printPlaces(out, l); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s, in the database:\n", example.PolicyFile)
	if err := printGenerations(out, l); err != nil {
		return err
	}
	fmt.Fprintln(out)
	example.PrintLegend(out)
	good := true
	for _, f := range []testnet.Family{testnet.IPv4, testnet.IPv6} {
		seen, err := example.Seen(l, f)
		if err != nil {
			return err
		}
		good = example.PrintTables(out, f, example.Expected(f), seen) && good
	}
	changed, err := showChange(out, l, policy)
	if err != nil {
		return err
	}
	if !good || !changed {
		return errDifferent
	}
	return nil
}

// printPlaces tells who is where.
func printPlaces(out io.Writer, l *fleetlab.Lab) error {
	leader, err := l.Leader()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A fleet in network namespaces of this machine.\n\n")
	for _, m := range l.Members {
		role := "member of the policy database"
		if m == leader {
			role += ", leads"
		}
		fmt.Fprintf(out, "  %-6s %-20s %s\n", m.Name, m.Endpoint(), role)
	}
	fmt.Fprintf(out, "  %-6s %-20s relay: hosts may read of it, so that members have fewer to serve\n",
		l.Relay.Name, l.Relay.Endpoint())
	at := map[string][]string{}
	for _, name := range l.Names() {
		where := "beyond"
		if m := l.Where(name); m != nil {
			where = m.Name
		}
		at[where] = append(at[where], name)
	}
	for _, m := range l.Machines {
		fmt.Fprintf(out, "  %-6s %-20s host with %s\n", m.Name, m.Address, strings.Join(at[m.Name], ", "))
	}
	fmt.Fprintf(out, "  %-6s %-20s %s\n", "beyond", "the uplinks", strings.Join(at["beyond"], ", "))
	return nil
}

// printGenerations tells which generation is in force on each host.
func printGenerations(out io.Writer, l *fleetlab.Lab) error {
	for _, m := range l.Machines {
		s, err := m.Status()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-6s generation %d in force: %s, %d flows\n", m.Name, s.Policy.Generation,
			ports(s), s.Flows)
	}
	return nil
}

func ports(s *api.Status) string {
	if len(s.Ports) == 1 {
		return "1 port"
	}
	return fmt.Sprintf("%d ports", len(s.Ports))
}

// showChange takes a rule away, and puts it back, and shows what that does.
func showChange(out io.Writer, l *fleetlab.Lab, policy string) (bool, error) {
	const rule = "      - {direction: ingress, protocol: tcp, ports: 3306, group: frontend}\n"
	fmt.Fprintf(out, "\nThe rule that lets frontend into backend is taken away:\n")
	good, err := change(out, l, "none", func() error {
		_, err := l.Apply(strings.Replace(policy, rule, "", 1))
		return err
	})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "\nAnd back:\n")
	again, err := change(out, l, "all", func() error {
		_, err := l.Portcullis("rollback", "1", "--db", l.Writers())
		return err
	})
	return good && again, err
}

// change makes one, and says whether as many of the pairs reach each other as are expected: "all"
// or "none".
func change(out io.Writer, l *fleetlab.Lab, expected string, make func() error) (bool, error) {
	if err := make(); err != nil {
		return false, err
	}
	generation, err := l.Generation()
	if err != nil {
		return false, err
	}
	if err := l.AwaitGeneration(generation); err != nil {
		return false, err
	}
	if err := printGenerations(out, l); err != nil {
		return false, err
	}
	seen, pairs := 0, 0
	for _, from := range []string{"web-1", "web-2"} {
		for _, to := range []string{"db-1", "db-2"} {
			pairs++
			passes, err := l.Admits(from, to, testnet.TCP(3306), testnet.IPv4)
			if err != nil {
				return false, err
			}
			if passes {
				seen++
			}
		}
	}
	fmt.Fprintf(out, "  mysql from web-1 and web-2 to db-1 and db-2: expected %s of %d, seen %d\n",
		expected, pairs, seen)
	return expected == "all" && seen == pairs || expected == "none" && seen == 0, nil
}

// keep leaves the fleet running until ctx ends, and tells how to look around in it.
func keep(ctx context.Context, out io.Writer, l *fleetlab.Lab) {
	fmt.Fprintf(out, "\nIt goes on running. In a shell where the operator is:\n  %s bash\n",
		l.Operator.Enter())
	fmt.Fprintf(out, "  export PORTCULLIS_DB=%s PATH=$PWD/bin:$PATH\n", l.Writers())
	for _, line := range []string{"portcullis db status", "portcullis history",
		"portcullis export >policy.yaml", "portcullis apply -f policy.yaml", "portcullis rollback 1"} {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintln(out, "A host, and an instance:")
	for _, m := range l.Machines {
		fmt.Fprintf(out, "  %-7s bin/portcullis status --config %s\n", m.Name, m.Settings())
	}
	for _, name := range l.Names() {
		fmt.Fprintf(out, "  %-7s %s bash\n", name, l.Host(name).Enter())
	}
	fmt.Fprintln(out, "Take a member away, and change something all the same:")
	for _, m := range l.Members {
		fmt.Fprintf(out, "  %-7s kill -9 %d\n", m.Name, m.PID())
	}
	fmt.Fprintf(out, "Stop it:  Ctrl-C, or kill %d\n", os.Getpid())
	<-ctx.Done()
}
