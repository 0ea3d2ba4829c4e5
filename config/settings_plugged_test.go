package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who adds a device is told by its name alone, before the device is there.
func TestSettingsPluggedByOthers(t *testing.T) {
	byDefault, err := LoadSettings(settingsFile(t, ""))
	require.NoError(t, err)
	for device, isOthers := range map[string]bool{
		"tap100i0": true, "tap100i31": true, "veth101i0": true, "fwln100o0": true,
		"tap-web-1": false, "tap1": false, "taps0i0": false, "veth1": false, "fwln0i0": false,
		"xtap100i0": false, "fwbr100i0": false, "": false,
	} {
		require.Equal(t, isOthers, byDefault.IsPluggedByOthers(device), device)
	}
	for text, isOthers := range map[string]bool{
		"plugged_by_others: []": false, `plugged_by_others: ["*"]`: true,
		"plugged_by_others: [tap-web-1]": true, "plugged_by_others: [tap-web-?]": true,
		"plugged_by_others: [web]": false,
	} {
		s, err := LoadSettings(settingsFile(t, text))
		require.NoError(t, err, text)
		require.Equal(t, isOthers, s.IsPluggedByOthers("tap-web-1"), text)
		require.Equal(t, text == `plugged_by_others: ["*"]`, s.IsPluggedByOthers("tap100i0"), text)
	}
}

func TestSettingsPluggedByOthersMistakes(t *testing.T) {
	for text, told := range map[string]string{
		`plugged_by_others: ["tap["]`:  `portcullis.yaml:1:21: plugged_by_others[0]: "tap[" is no pattern`,
		`plugged_by_others: [""]`:      "plugged_by_others[0]: is empty",
		`plugged_by_others: [a, b, a]`: `plugged_by_others[2]: "a" is listed twice`,
		`plugged_by_others: tap*`:      "plugged_by_others",
	} {
		_, err := LoadSettings(settingsFile(t, text))
		require.ErrorContains(t, err, told, text)
	}
}
