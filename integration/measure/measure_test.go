package measure

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSeries(t *testing.T) {
	var s Series
	require.Zero(t, s.Median())
	require.Zero(t, s.Quantile(0.99))
	for _, v := range []float64{5, 1, 3, 2, 4} {
		s = append(s, v)
	}
	require.Equal(t, 3.0, s.Median())
	require.Equal(t, 5.0, s.Quantile(0.99))
	require.Equal(t, 1.0, s.Quantile(0.2))
	s = append(s, 6)
	require.Equal(t, 3.5, s.Median())
	s.Add(1500 * time.Microsecond)
	require.Equal(t, 1.5, s[6])
}

func TestPlotIsWellFormed(t *testing.T) {
	var text strings.Builder
	p := Plot{Title: "a <b>", What: "members", Unit: "ms", Values: []int{0, 500, 1200},
		Lines: []PlotLine{{"one & two", []float64{1, 2, 3}}, {"none", []float64{0, 0, 0}}}}
	require.NoError(t, p.Write(&text))
	for decoder := xml.NewDecoder(strings.NewReader(text.String())); ; {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Contains(t, text.String(), "2,000")
}

func TestNumbers(t *testing.T) {
	require.Equal(t, []string{"0", "2.5", "999", "1,000", "1,234,567"},
		[]string{Number(0), Number(2.5), Number(999), Number(1000), Number(1234567)})
	require.Equal(t, []float64{1, 1, 2, 2.5, 5, 10, 2000},
		[]float64{roundUp(0), roundUp(1), roundUp(1.5), roundUp(2.1), roundUp(3), roundUp(6),
			roundUp(1200)})
}

// A failure in what was written for tests ends the measurement, and what was begun is cleaned up in
// turn.
func TestShim(t *testing.T) {
	var done []int
	err := During(func(s *Shim) error {
		s.Cleanup(func() { done = append(done, 1) })
		s.Cleanup(func() { done = append(done, 2) })
		s.Fatalf("no %s", "way")
		return nil
	})
	require.EqualError(t, err, "no way")
	require.Equal(t, []int{2, 1}, done)
	require.Panics(t, func() { _ = During(func(*Shim) error { panic("a mistake") }) })
	require.ErrorIs(t, During(func(*Shim) error { return errLate }), errLate)
}

var errLate = errors.New("late")

func TestUsage(t *testing.T) {
	u, err := UsageOf(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, u.Resident)
	require.GreaterOrEqual(t, u.Peak, u.Resident)
	cpu, err := CPUOf(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, cpu)
	_, err = UsageOf(-1)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = CPUOf(-1)
	require.Error(t, err)
}

func TestResultsAreReadAsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "x.json")
	var back Timing
	found, err := Load(file, &back)
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, Save(file, Timing{1, 2, 3}))
	found, err = Load(file, &back)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, Timing{1, 2, 3}, back)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = Load(file, &back)
	require.ErrorContains(t, err, file)
}
