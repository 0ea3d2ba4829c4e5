package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows/policytest"
)

// BenchmarkCheck is the command check of 500 groups of 10 rules and 50,000 instances, from its
// start to its answer.
func BenchmarkCheck(b *testing.B) {
	w := policytest.Fleet(policytest.LargeFleet)
	dir := b.TempDir()
	settings := filepath.Join(dir, "portcullis.yaml")
	require.NoError(b, os.WriteFile(settings, []byte("host: "+w.Site.Host+"\n"), 0o600))
	require.NoError(b, os.WriteFile(filepath.Join(dir, "policy.yaml"),
		policyfile.Marshal(w.Policy), 0o600))
	var user float64
	for b.Loop() {
		check := exec.Command(command, "check", "--config", settings)
		out, err := check.CombinedOutput()
		require.NoError(b, err, "%s", out)
		user += check.ProcessState.UserTime().Seconds() + check.ProcessState.SystemTime().Seconds()
	}
	b.ReportMetric(user/float64(b.N), "CPU-s/op")
}
