package advisory

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAgainst(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "unknown": "", "3": "", "3.1.0.1": "", "3.x.0": "",
		"2.15.0": "oldest CVE-2023-1668 CVE-2023-5366", "2.16.9": "oldest CVE-2023-1668 CVE-2023-5366",
		"2.17.0": "oldest CVE-2023-1668 CVE-2023-5366", "2.17.5": "oldest CVE-2023-1668 CVE-2023-5366",
		"2.17.6": "oldest CVE-2023-5366", "2.17.8": "oldest CVE-2023-5366",
		"2.17.9": "oldest", "2.17.12-0ubuntu0.22.04.1": "oldest",
		"3.0.3": "oldest CVE-2023-1668 CVE-2023-5366", "3.0.4": "oldest CVE-2023-5366",
		"3.1.0": "CVE-2023-1668 CVE-2023-5366", "3.1.0-2+deb12u1": "CVE-2023-1668 CVE-2023-5366",
		"3.1":   "CVE-2023-1668 CVE-2023-5366",
		"3.1.1": "CVE-2023-5366", "3.1.3": "CVE-2023-5366", "3.1.4": "", "3.1.90": "",
		"3.2.0": "CVE-2023-5366", "3.2.1": "CVE-2023-5366", "3.2.2": "", "3.3.0": "", "3.10.0": "",
		"4.0.0": "",
	} {
		var got []string
		for _, w := range Against(text) {
			for _, word := range []string{"oldest", "CVE-2023-1668", "CVE-2023-5366"} {
				if strings.Contains(w, word) {
					got = append(got, word)
				}
			}
		}
		require.Equal(t, want, strings.Join(got, " "), text)
	}
}
