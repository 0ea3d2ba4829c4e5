package policyfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// requireOfctl skips a test, loudly, where ovs-ofctl is missing; where it must not be missing, the
// test fails.
func requireOfctl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ovs-ofctl"); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("PORTCULLIS_REQUIRE_OVS") != "" {
			t.Fatalf("ovs-ofctl is missing: %v", err)
		}
		t.Skipf("SKIPPED, ovs-ofctl is missing: %v", err)
	}
}

// printed returns what Open vSwitch prints of flows, one a line: matches and actions, without
// cookie.
func printed(t *testing.T, lines []string) (out []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flows")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	text, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", "parse-flows", file).CombinedOutput()
	require.NoError(t, err, "%s", text)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if _, mod, ok := strings.Cut(line, "): ADD "); ok {
			out = append(out, mod)
		}
	}
	require.Len(t, out, len(lines))
	return out
}

// Of all EtherTypes, those to which Open vSwitch gives a name are refused, or are written by it;
// any other is a number, for it and for us.
func TestEtherTypesHaveTheNamesOfOpenVSwitch(t *testing.T) {
	requireOfctl(t)
	var asked []string
	for n := policy.MinEtherType; n <= 0xffff; n++ {
		asked = append(asked, fmt.Sprintf("dl_type=%#04x,actions=drop", n))
	}
	listed := policy.Port{Name: "tap", MAC: policy.MAC{2, 0, 0, 0, 0, 1}}
	named := map[string]bool{}
	for i, told := range printed(t, asked) {
		n := uint16(policy.MinEtherType + i)
		refused := policy.BadEtherType(n) != ""
		isNamed := !strings.Contains(told, fmt.Sprintf("dl_type=0x%04x", n))
		if isNamed {
			named[strings.Fields(told)[0]] = refused
		}
		if !refused && (isNamed || n%61 == 0) {
			listed.EtherTypes = append(listed.EtherTypes, n)
		}
	}
	require.Equal(t, map[string]bool{"ip": true, "ipv6": true, "arp": true, "mpls": true,
		"mplsm": true, "rarp": false}, named, "by name: is it refused?")
	require.Greater(t, len(listed.EtherTypes), 1000)

	p := &policy.Policy{Instances: []*policy.Instance{
		{Name: "i", Host: "h", Ports: []policy.Port{listed}}}}
	program, err := flows.Compile(flows.Input{Policy: p, Site: policy.Site{Host: "h"},
		Uplinks:  []flows.Uplink{{Name: "eth1", OFPort: 2}},
		Bindings: []flows.Binding{{Port: "tap", OFPort: 1, Zone: 1, Epoch: 1}}})
	require.NoError(t, err)
	var ours []string
	for _, f := range program.Flows {
		ours = append(ours, f.String())
	}
	for i, told := range printed(t, ours) {
		require.Contains(t, told, program.Flows[i].Match.String(),
			"a flow that is printed otherwise is never in sync")
	}
}
