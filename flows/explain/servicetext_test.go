package explain_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Services and verdicts are read as they were written, whatever they hold.
func TestServicesAreReadAsTheyAreWritten(t *testing.T) {
	met := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		var s explain.Services
		for range rapid.IntRange(0, 5).Draw(t, "parts") {
			v6 := rapid.Bool().Draw(t, "v6")
			part := explain.ServicesOf(drawService(t), v6)
			if rapid.IntRange(0, 4).Draw(t, "how") == 0 {
				part = explain.ServicesOf(policy.Service{Protocol: policy.AnyProtocol}, v6).Minus(part)
			}
			s = s.Union(part)
		}
		text, err := s.MarshalText()
		require.NoError(t, err)
		var got explain.Services
		require.NoError(t, got.UnmarshalText(text), string(text))
		require.Equal(t, string(text), got.String())
		require.Empty(t, s.Minus(got), string(text))
		require.Empty(t, got.Minus(s), string(text))
		met[len(text) > 20]++
	})
	require.Positive(t, met[true])
	require.Positive(t, met[false])
	for _, wrong := range []string{"", "tcq 80", "tcp 443-80", "tcp 70000", "icmp type", "tcp, ", "any tcp"} {
		require.Error(t, new(explain.Services).UnmarshalText([]byte(wrong)), wrong)
	}
	for _, o := range []explain.Outcome{explain.Denied, explain.Partly, explain.Admitted} {
		var got explain.Outcome
		require.NoError(t, got.UnmarshalText([]byte(o.String())))
		require.Equal(t, o, got)
	}
	require.Error(t, new(explain.Outcome).UnmarshalText([]byte("maybe")))
}
