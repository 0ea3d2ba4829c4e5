package convert_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/portcullis/portcullis/config/convert"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

func TestConvertSamples(t *testing.T) {
	for format, notes := range map[convert.Format][]string{
		convert.Exo: {`group "web", egress rule 1: 192.0.2.7/24 is taken as 192.0.2.0/24`,
			`group "web": not converted: its 1 instance`},
		convert.AWS: {`group "strict", ingress rule 1: ports 0-65535 are taken as 1-65535`},
	} {
		data, err := os.ReadFile("testdata/" + string(format) + ".json")
		require.NoError(t, err)
		want, err := os.ReadFile("testdata/" + string(format) + ".yaml")
		require.NoError(t, err)
		for _, from := range []convert.Format{format, convert.Detect} {
			p, got, err := convert.Convert(data, from)
			require.NoError(t, err)
			require.Equal(t, string(want), string(policyfile.Marshal(p)))
			require.Equal(t, notes, got)
			_, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "p", Data: want}})
			require.NoError(t, err)
			require.Empty(t, warnings)
		}
		other := convert.Exo
		if format == convert.Exo {
			other = convert.AWS
		}
		_, _, err = convert.Convert(data, other)
		require.Error(t, err, "one format is not taken for the other")
	}
}

// exo returns a group with one rule that has these fields.
func exo(rule string) string {
	return `{"name": "web", "ingress_rules": [{` + rule + `}], "egress_rules": []}`
}

// aws returns a group with one permission that has these fields.
func aws(permission string) string {
	return `{"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web", "IpPermissions": [{` +
		permission + `}], "IpPermissionsEgress": []}]}`
}

func TestConvertRefuses(t *testing.T) {
	mistakes, err := txtar.ParseFile("testdata/mistakes.txtar")
	require.NoError(t, err)
	require.Len(t, mistakes.Files, 36)
	for _, m := range mistakes.Files {
		form, want, _ := strings.Cut(m.Name, ": ")
		input := strings.TrimSuffix(string(m.Data), "\n")
		switch form {
		case "exo":
			input = exo(input)
		case "aws":
			input = aws(input)
		default:
			require.Equal(t, "whole", form)
		}
		p, _, err := convert.Convert([]byte(input), convert.Detect)
		require.ErrorContains(t, err, want, input)
		require.Nil(t, p)
	}
	_, _, err = convert.Convert([]byte(exo("")), "gcp")
	require.ErrorContains(t, err, "must be one of exo, aws")
}

func TestConvertNamesEveryProblem(t *testing.T) {
	_, _, err := convert.Convert([]byte(`{"name": "a",
		"ingress_rules": [{"protocol": "x"}, {"protocol": "gre"}],
		"egress_rules": [{"protocol": "y"}]}`), convert.Exo)
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}

func TestConvertNamesOfSeveralNetworks(t *testing.T) {
	p, _, err := convert.Convert([]byte(`[
		{"GroupName": "default", "GroupId": "sg-1", "IpPermissions": [
			{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]},
		{"GroupName": "default", "GroupId": "sg-2", "IpPermissions": []},
		{"GroupName": "nobody", "GroupId": "sg-3", "IpPermissions": []}]`), convert.Detect)
	require.NoError(t, err)
	var names []string
	for _, g := range p.Groups {
		names = append(names, g.Name)
	}
	require.Equal(t, []string{"default sg-1", "default sg-2", "nobody", "nobody-"}, names)
	require.Equal(t, "default sg-2", p.Groups[0].Rules[0].Peers[0].Group)
	require.Equal(t, "nobody-", p.Groups[2].Rules[0].Peers[0].Group)
}

// TestEgressOfAWS: the groups of an instance add up as they do there. In Portcullis alone, a group
// without egress rules beside a strict one would be closed, and a group without any would be open.
func TestEgressOfAWS(t *testing.T) {
	p, _, err := convert.Convert([]byte(`{"SecurityGroups": [
		{"GroupName": "open", "GroupId": "sg-1", "IpPermissions": [], "IpPermissionsEgress": [
			{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]},
		{"GroupName": "strict", "GroupId": "sg-2", "IpPermissions": [], "IpPermissionsEgress": [
			{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]},
		{"GroupName": "closed", "GroupId": "sg-3", "IpPermissions": [],
			"IpPermissionsEgress": []}]}`), convert.AWS)
	require.NoError(t, err)
	for groups, want := range map[string][2]bool{ // port 443, port 80
		"open": {true, true}, "strict": {true, false}, "closed": {false, false},
		"open strict": {true, true}, "open closed": {true, true}, "strict closed": {true, false},
		"open strict closed": {true, true},
	} {
		for n, port := range []uint16{443, 80} {
			require.Equal(t, want[n], admitsEgress(p, strings.Fields(groups), port),
				"%s to port %d", groups, port)
		}
	}
}

// admitsEgress asks the specification about an instance in these groups.
func admitsEgress(p *policy.Policy, groups []string, port uint16) bool {
	own := policy.MAC{2, 0, 0, 0, 0, 1}
	from := netip.MustParseAddr("203.0.113.1")
	p = p.Clone()
	p.Instances = []*policy.Instance{{Name: "i", Groups: groups,
		Ports: []policy.Port{{Name: "tap", MAC: own,
			Addresses: []netip.Prefix{netip.PrefixFrom(from, 32)}}}}}
	return spec.Decide(spec.World{Policy: p}, spec.Packet{From: "tap", SrcMAC: own,
		DstMAC: policy.MAC{2, 0, 0, 0, 0, 9}, EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: from, Dst: netip.MustParseAddr("192.0.2.1"),
			Protocol: uint8(policy.TCP), SrcPort: 40000, DstPort: port}}).Egress.Admitted
}

// FuzzConvert: whatever comes, there is an error, or a policy of groups that is valid as it is
// written.
func FuzzConvert(f *testing.F) {
	for _, name := range []string{"testdata/exo.json", "testdata/aws.json"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(exo(`"protocol": "gre", "security_group": "SG:web"`)))
	f.Add([]byte(
		aws(`"IpProtocol": "6", "FromPort": 1, "ToPort": 2, "IpRanges": [{"CidrIp": "10.0.0.1/8"}]`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, err := convert.Convert(data, convert.Detect)
		if err != nil {
			require.Nil(t, p)
			return
		}
		require.Empty(t, p.Instances)
		_, _, err = policyfile.Parse([]strictyaml.File{{Name: "p", Data: policyfile.Marshal(p)}})
		require.NoError(t, err)
	})
}
