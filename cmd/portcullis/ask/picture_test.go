package ask

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

var update = flag.Bool("update", false, "write the picture anew")

func planDrawn(t *testing.T, before, after *policy.Policy) string {
	t.Helper()
	access := explain.CompareAccess(before, after)
	var out bytes.Buffer
	require.NoError(t, drawPlan(&out, asSVG, after, &access, nil))
	return out.String()
}

// groupsOf is a policy of some groups with a member each, which admit ssh from the group before.
func groupsOf(count int, service string) *policy.Policy {
	p := &policy.Policy{}
	for n := range count {
		name := fmt.Sprint("g", n)
		p.Groups = append(p.Groups, &policy.Group{Name: name, Rules: []policy.Rule{
			policytest.Rule("ingress tcp 22", fmt.Sprint("g", max(n-1, 0)))}})
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprint("i", n),
			Groups: []string{name}, Ports: []policy.Port{{Name: fmt.Sprint("p", n),
				MAC: policy.MAC{2, 0, 0, 0, 0, byte(n)}, Addresses: policytest.Nets(fmt.Sprint("10.0.0.", n))}}})
	}
	p.Groups[count/2].Rules = append(p.Groups[count/2].Rules, policytest.Rule(service, "0.0.0.0/0"))
	return p
}

// Of many groups a plan draws those that are gained or lost by, and their neighbours.
func TestPlanOfManyGroupsIsDrawn(t *testing.T) {
	got := planDrawn(t, groupsOf(60, "ingress tcp 80"), groupsOf(60, "ingress tcp 81"))
	for _, text := range []string{">gained from outside: tcp/81<", ">lost from outside: tcp/80<",
		">from g29: tcp/22<", ">from g30: tcp/22<"} {
		require.Contains(t, got, text)
	}
	require.NotContains(t, got, ">from g31: tcp/22<")
	few := planDrawn(t, groupsOf(6, "ingress tcp 80"), groupsOf(6, "ingress tcp 81"))
	require.Contains(t, few, ">from g1: tcp/22<", "of few groups all are drawn")
}

// docs/pictures has what plan draws of a change of the example policy; with -update, it is written.
func TestPlanPictureIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../../docs/examples/policy.yaml")
	require.NoError(t, err)
	changed := strings.NewReplacer("ports: 3306", "ports: 5432", "ports: 22, cidr: 198.51.100.0/24",
		"ports: 22, cidr: 0.0.0.0/0").Replace(string(text))
	got := planDrawn(t, read(t, string(text)), read(t, changed))
	for _, row := range []string{">lost from frontend: tcp/3306<", ">gained from frontend: tcp/5432<",
		">gained from outside: tcp/22 (IPv4)<"} {
		require.Contains(t, got, row)
	}
	const file = "../../../docs/pictures/plan.svg"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	is, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, got, string(is), "%s is stale; go generate ./cmd/portcullis/ask", file)
}

func read(t *testing.T, text string) *policy.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	p, _, err := policydir.Load(file)
	require.NoError(t, err)
	return p
}
