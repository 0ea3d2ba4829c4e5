package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/matrix"
)

// Who reaches whom is told of the policy in force, also while the files are not valid.
func TestMatrixOfThePolicyInForce(t *testing.T) {
	w, client := agenttest.Served(t, agenttest.File("a: 80 443"))
	ctx := context.Background()
	_, err := client.Settle(ctx, agenttest.Generous)
	require.NoError(t, err)
	got, err := client.Matrix(ctx, api.MatrixQuestion{Service: "https"})
	require.NoError(t, err)
	require.Empty(t, got.Errors)
	require.Contains(t, got.Cells, matrix.Row{From: "outside", To: "g-a",
		Services: []string{"tcp/443"}})
	require.Contains(t, got.Arrows[0].Rules[0].At, ":")
	alone, err := client.Matrix(ctx, api.MatrixQuestion{Instances: true, From: "outside"})
	require.NoError(t, err)
	require.Equal(t, []matrix.Row{{From: "outside", To: "i-a",
		Services: []string{"tcp/80", "tcp/443"}}}, alone.Cells)

	_, err = client.Matrix(ctx, api.MatrixQuestion{From: "g-b"})
	require.ErrorContains(t, err, `there is no group and no network "g-b"; did you mean "g-a"?`)
	_, err = client.Matrix(ctx, api.MatrixQuestion{Service: "80"})
	require.ErrorContains(t, err, "tcp/80")

	w.Policy.Set("groups: 3\n")
	require.Eventually(t, func() bool {
		got, err = client.Matrix(ctx, api.MatrixQuestion{})
		return err == nil && len(got.Errors) > 0
	}, agenttest.Generous, 10*time.Millisecond)
	require.Contains(t, got.Cells, matrix.Row{From: "outside", To: "g-a",
		Services: []string{"tcp/80", "tcp/443"}})
}
