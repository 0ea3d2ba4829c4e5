package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNumbersAreReadStrictly(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "1": 1, "65535": 65535, "": 0, "65536": 0, "-1": 0, "+1": 0, "01": 0, " 1": 0,
		"1 ": 0, "0x1": 0, "1e3": 0, "1_0": 0, "١": 0,
	} {
		require.Equal(t, want, parseDecimal(text, 16), "%q", text)
	}
}

func TestSharedKeys(t *testing.T) {
	const shadow = "portcullis-vm-id"
	for name, c := range map[string]struct {
		have  ids
		value string
		want  ids
	}{
		"absent: written":                {ids{}, "a", ids{"vm-id": "a", shadow: "a"}},
		"theirs: kept":                   {ids{"vm-id": "x"}, "a", ids{"vm-id": "x"}},
		"theirs and equal: kept":         {ids{"vm-id": "a"}, "a", ids{"vm-id": "a"}},
		"ours: kept":                     {ids{"vm-id": "a", shadow: "a"}, "a", ids{"vm-id": "a", shadow: "a"}},
		"ours: changed":                  {ids{"vm-id": "a", shadow: "a"}, "b", ids{"vm-id": "b", shadow: "b"}},
		"ours, then theirs: kept":        {ids{"vm-id": "x", shadow: "a"}, "b", ids{"vm-id": "x"}},
		"ours, then removed: written":    {ids{shadow: "a"}, "b", ids{"vm-id": "b", shadow: "b"}},
		"ours: taken back":               {ids{"vm-id": "a", shadow: "a"}, "", ids{}},
		"theirs: not taken back":         {ids{"vm-id": "x"}, "", ids{"vm-id": "x"}},
		"ours, then theirs: not taken":   {ids{"vm-id": "x", shadow: "a"}, "", ids{"vm-id": "x"}},
		"ours, then removed: mark taken": {ids{shadow: "a"}, "", ids{}},
	} {
		t.Run(name, func(t *testing.T) {
			change := newIDChange()
			change.share(c.have, "vm-id", c.value)
			require.Equal(t, c.want, applied(c.have, change))
		})
	}
}

// applied is what the server makes of a change: exact pairs go, absent keys come.
func applied(have ids, c idChange) ids {
	out := ids{}
	for key, value := range have {
		if old, drop := c.drop[key]; !drop || old != value {
			out[key] = value
		}
	}
	for key, value := range c.add {
		if _, present := out[key]; !present {
			out[key] = value
		}
	}
	return out
}

func TestSharingSettlesAndRespectsOthers(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b"})
	rapid.Check(t, func(t *rapid.T) {
		have := ids{}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			if theirs := word.Draw(t, "theirs"); theirs != "" {
				have["vm-id"] = theirs + "-theirs"
			}
			before, present := have["vm-id"]
			foreign := present && have["portcullis-vm-id"] != before
			want := word.Draw(t, "want")
			change := newIDChange()
			change.share(have, "vm-id", want)
			have = applied(have, change)
			if foreign {
				require.Equal(t, before, have["vm-id"])
			} else {
				require.Equal(t, want, have["vm-id"])
			}
			again := newIDChange()
			again.share(have, "vm-id", want)
			require.Equal(t, newIDChange(), again, "%v", have)
		}
	})
}
