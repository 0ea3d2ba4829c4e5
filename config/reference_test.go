package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

const (
	ReferenceSettings = "reference/portcullis.yaml"
	referencePolicy   = "policyfile/reference/policy.yaml"
	page              = "../docs/configuration.md"
)

func TestReferenceSettingsAreTheDefaults(t *testing.T) {
	cleanEnvironment(t)
	data, err := os.ReadFile(ReferenceSettings)
	require.NoError(t, err)
	got, err := parseSettings(strictyaml.File{Name: "/x/portcullis.yaml", Data: data})
	require.NoError(t, err)
	want, err := parseSettings(strictyaml.File{Name: "/x/portcullis.yaml", Data: nil})
	require.NoError(t, err)
	require.Equal(t, want, got)

	var out strictyaml.Report
	root, _ := strictyaml.Document(strictyaml.File{Name: "s.yaml", Data: data}, &out)
	var keys []string
	values, _ := root.Fields("bridge", "datapath_type", "host", "uplinks", keyPlugged, "gateways",
		"dhcp_servers", "uplink_sources", "policy", "policy_tls", "ovsdb", "openflow", "api", "api_listen",
		"metrics", "limits", "log_denied", "log", "state_dir", "history")
	for key, value := range values {
		if key != "log" && key != "limits" && key != "history" &&
			key != "policy_tls" {
			keys = append(keys, key)
			continue
		}
		inner, _ := value.Fields("connections", "new_connections_per_second",
			"arp_nd_dhcp_per_second", "fragments_per_second", "outside_fragments_per_second",
			"level", "format", "generations", "megabytes", "ca", "certificate", "key")
		for name := range inner {
			keys = append(keys, key+"."+name)
		}
	}
	require.ElementsMatch(t, settingKeys, keys, "every key is documented")
}

func TestExamples(t *testing.T) {
	cleanEnvironment(t)
	s, err := LoadSettings("../docs/examples/portcullis.yaml")
	require.NoError(t, err)
	require.Equal(t, "policy.yaml", filepath.Base(s.Policy))
	p, warnings, err := policydir.Load(s.Policy)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.NoError(t, s.Check(p, nil))
	require.Len(t, p.Groups, 3)
	require.Len(t, p.Instances, 5)
}

// TestConfigurationPage compares docs/configuration.md with what the reference files say; with
// -update, it writes it.
func TestConfigurationPage(t *testing.T) {
	want := configurationPage(t)
	configtest.RequireCurrent(t, page, want)
}

func configurationPage(t *testing.T) []byte {
	t.Helper()
	settings, err := os.ReadFile(ReferenceSettings)
	require.NoError(t, err)
	reference, err := os.ReadFile(referencePolicy)
	require.NoError(t, err)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!-- Generated from config/reference and config/policyfile/reference by: go generate ./config. Do not edit. -->
# Configuration

Two things are read: the **settings** of the daemon on this host, and the **policy**, which is the
same on every host. Both are YAML and strict. What is wrong is reported all at once, one line each,
with its place, its field and what would be right:

`+"```"+`
%s
`+"```"+`

`+"`portcullis check`"+` says so without touching anything. A policy that is not valid never
replaces a valid one.

## Settings

With every key, `+"`/etc/portcullis/portcullis.yaml`"+`:

`+"```yaml"+`
%s`+"```"+`

| key | environment | default |
|---|---|---|
`, sampleErrors(t), settings)
	values := defaults()
	for _, key := range settingKeys {
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` |\n", key, variable(key),
			strings.TrimSpace(fmt.Sprintf("%#v", values[key])))
	}
	fmt.Fprintf(&b, "\n## Policy\n\nWith every key, `/etc/portcullis/policy.yaml`:\n\n"+
		"```yaml\n%s```\n\n%s%s\n\n%s", reference, lists, services(), rest)
	return bytes.ReplaceAll(b.Bytes(), []byte("`[]string{}`"), []byte("`[]`"))
}

// sampleErrors shows what the program really says.
func sampleErrors(t *testing.T) string {
	t.Helper()
	_, _, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(`groups:
  - name: frontend
    rules:
      - {direction: ingress, protocol: tcp, port: 80, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: icmp, ports: 1-10, group: fronted}
`)}})
	require.Error(t, err)
	return err.Error()
}

// services lists the names that stand for ports.
func services() string {
	var out []string
	for _, s := range policy.NamedServices() {
		var ports []string
		for _, p := range []policy.Protocol{policy.TCP, policy.UDP} {
			for _, r := range s.Ports(p) {
				ports = append(ports, p.String()+" "+r.String())
			}
		}
		if len(ports) > 0 {
			out = append(out, fmt.Sprintf("%s (%s)", strings.Join(append([]string{s.Name}, s.Also...),
				", "), strings.Join(ports, ", ")))
		}
	}
	return strings.Join(out, "; ") + "."
}

const lists = `### Lists and names

A rule that lists ports and peers admits each of its peers to each of its ports. It is one rule all
the same: it has one id, one counter, and one place in messages. Neither the order of a list nor an
entry that is there twice changes the id, so that neither cuts a connection. cidr and group of one
rule are one list of peers.

A named network stands for its networks as a group stands for its members: rules that name it stay
the same rules when networks come or go; who is no longer among them is cut off.

Names of services, in any case, for the protocols that they are spoken over:
`

const rest = `### In an editor

Both files have a JSON Schema: [schema/policy.schema.json](schema/policy.schema.json) and
[schema/settings.schema.json](schema/settings.schema.json), also printed by "portcullis schema
policy" and "portcullis schema settings". Editors that use the YAML language server complete and
explain keys, and underline mistakes, when the file begins with

    # yaml-language-server: $schema=policy.schema.json

or whatever path or URL the schema is at. Names that are there twice, unknown groups and overlapping
addresses are seen by "portcullis check" alone.

### From a cloud

"portcullis convert" makes a policy file of the security groups of Exoscale and Amazon EC2;
instances are not converted:

    for g in web admin; do exo compute security-group show $g -O json; done | portcullis convert > groups.yaml
    aws ec2 describe-security-groups | portcullis convert > groups.yaml

What cannot be expressed exactly is an error that names the group and the rule: a prefix list, a
group that is not in the input, a protocol without a number. Exoscale's groups mean what they mean
here. A group of EC2 without egress rules admits none, so it gets a rule for a group without
members; one that is open keeps the rule that says so, as it must stay open beside a strict group.

### Refused

Beside unknown, repeated and missing keys and values of the wrong kind:

- a group, instance, MAC or own address that is there twice, on whatever hosts; an interface that is
  there twice on one host;
- own addresses of two ports that overlap, the link-local address of a port with IPv6 included; an
  allowed MAC that is another port's own;
- a group that does not exist, as a peer or of an instance;
- no peer, an empty list, or one of more than 100 ports or peers; ports of a protocol without ports,
  or none of tcp, udp and sctp; port 0; a range that ends before it begins; a service with a
  protocol that it is not spoken over; an ICMP code without a type; icmp with IPv6 networks only,
  icmpv6 with IPv4 ones only;
- a named network that does not exist; one whose name a group has, or that looks like a network or
  like "any";
- as a port's address: /0, unspecified, loopback, multicast, broadcast and IPv4-mapped addresses,
  zones, and an address with a netmask (192.0.2.1/24: write 192.0.2.1, or 192.0.2.0/24 for all of
  it);
- text without quotes that goes on in the next line, holds a tab or ": ", or, within [] and {}, a
  bracket;
- numbers that have more than one reading, such as 010, 0x50 or 8_0 as a port;
- an empty file, and a folder without *.yaml: an empty policy is written as "groups: []";
- a file of more than 16 MiB, lists and mappings more than 32 deep, mappings of more than 1000 keys;
- limits of a trusted port;
- a port of this host that is the bridge or an uplink; a gateway's address at a port that is not
  trusted.

### Accepted with a warning

- host bits in a rule's or external source's network: they are cleared;
- the same rule twice in one group, the same entry twice in one list;
- ports of a list that overlap; a network of a list that is within another; one that is of the other
  IP version than the rule's icmp;
- a port without addresses that is not trusted: it can speak no IP;
- an allowed address that is another port's own;
- a file *.yml in the policy's folder, policy.yaml beside the folder policy that is read, and the
  folder beside the file: they are not read.

## Example

[examples/portcullis.yaml](examples/portcullis.yaml) and
[examples/policy.yaml](examples/policy.yaml): web servers, databases and a machine that manages
them. [examples/lists.yaml](examples/lists.yaml) says the same in fewer rules.
`
