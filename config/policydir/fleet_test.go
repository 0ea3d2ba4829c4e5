package policydir

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows/policytest"
)

// BenchmarkLoadFleet reads and checks the policy of 50,000 instances and 5,000 rules from one file,
// as check and explain do.
func BenchmarkLoadFleet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "policy.yaml")
	text := policyfile.Marshal(policytest.Fleet(policytest.LargeFleet).Policy)
	configtest.Write(b, path, string(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := Load(path)
		require.NoError(b, err)
		require.Len(b, p.Instances, policytest.LargeFleet.Instances)
	}
}
