package trace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// Bridge is one bridge of a private Open vSwitch.
type Bridge struct {
	ovs    *sandbox.OVS
	name   string
	tracer *ofswitch.Tracer
}

// Open returns a bridge as it is now: a port that is added later is not known.
func Open(ctx context.Context, ovs *sandbox.OVS, name string) (*Bridge, error) {
	run := func(ctx context.Context, args ...string) (string, error) {
		return ovs.Exec(ctx, "ovs-appctl",
			append([]string{"-t", filepath.Join(ovs.Dir, "ovs-vswitchd.ctl")}, args...)...)
	}
	tracer, err := ofswitch.OpenTracer(ctx, run, name)
	if err != nil {
		return nil, err
	}
	return &Bridge{ovs: ovs, name: name, tracer: tracer}, nil
}

// Start starts a switch on the dummy datapath with one bridge, br0, whose ports p1, p2 and so on
// have the same numbers in OpenFlow. It ends with the test.
func Start(t testing.TB, ports int) (*Bridge, *sandbox.OVS) {
	t.Helper()
	ovs := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	args := []string{"add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy",
		"fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15"}
	for n := range ports {
		name := fmt.Sprintf("p%d", n+1)
		args = append(args, "--", "add-port", "br0", name, "--", "set", "Interface", name,
			"type=dummy", fmt.Sprintf("ofport_request=%d", n+1))
	}
	ovs.Vsctl(args...)
	b, err := Open(t.Context(), ovs, "br0")
	if err != nil {
		t.Fatal(err)
	}
	return b, ovs
}

// Trace asks the switch what it would do to a packet: see [ofswitch.Tracer.Trace].
func (b *Bridge) Trace(ctx context.Context, p flowtest.Packet,
	ctNext ...string) (ofswitch.TraceResult, error) {
	return b.tracer.Trace(ctx, Spec(p), ctNext...)
}

func (b *Bridge) ofctl(ctx context.Context, command string, args ...string) (string, error) {
	flags := []string{"-O", "OpenFlow15", "--bundle", "--no-stats", "--no-names", command,
		b.ovs.Mgmt(b.name)}
	return b.ovs.Exec(ctx, "ovs-ofctl", append(flags, args...)...)
}

// Install replaces all flows, and makes fragments show their ports as the fake does. An error is
// the switch's refusal.
func (b *Bridge) Install(ctx context.Context, fs []openflow.Flow) error {
	if _, err := b.ofctl(ctx, "set-frags", "nx-match"); err != nil {
		return fmt.Errorf("show the ports of first fragments: %w", err)
	}
	var text strings.Builder
	for _, f := range fs {
		fmt.Fprintln(&text, f)
	}
	file := filepath.Join(b.ovs.Dir, "flows.txt")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write the flows: %w", err)
	}
	if _, err := b.ofctl(ctx, "replace-flows", file); err != nil {
		return fmt.Errorf("install %d flows: %w", len(fs), err)
	}
	return nil
}

// Dump reads the flows back.
func (b *Bridge) Dump(ctx context.Context) ([]openflow.Flow, error) {
	text, err := b.ofctl(ctx, "dump-flows")
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	var fs []openflow.Flow
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f, err := parseFlow(line)
		if err != nil {
			return nil, fmt.Errorf("dump flows: %q: %w", line, err)
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// parseFlow reads "cookie=0x1, table=1, priority=5,ip actions=drop"; what is 0, and the priority
// 32768, is left out.
func parseFlow(line string) (openflow.Flow, error) {
	head, actions, ok := strings.Cut(" "+line, " actions=")
	if !ok {
		return openflow.Flow{}, fmt.Errorf("no actions")
	}
	f := openflow.Flow{Priority: 0x8000, Actions: openflow.ParseActions(actions)}
	for _, word := range strings.Fields(head) {
		if err := parseWord(&f, word); err != nil {
			return openflow.Flow{}, err
		}
	}
	return f, nil
}

func parseWord(f *openflow.Flow, word string) error {
	key, value, _ := strings.Cut(word, "=")
	value = strings.TrimSuffix(value, ",")
	switch key {
	case "cookie":
		n, err := strconv.ParseUint(value, 0, 64)
		f.Cookie = n
		return err
	case "table":
		n, err := strconv.ParseUint(value, 10, 8)
		f.Table = uint8(n)
		return err
	case "priority":
		number, match, _ := strings.Cut(value, ",")
		n, err := strconv.ParseUint(number, 10, 16)
		f.Priority, f.Match = uint16(n), openflow.ParseMatch(match)
		return err
	}
	f.Match = openflow.ParseMatch(word)
	return nil
}
