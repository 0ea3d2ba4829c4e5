// Package advisory is what is known against releases of Open vSwitch, for the status. It decides
// nothing.
package advisory

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// oldestTested is the oldest version that each change is tested on.
const oldestTested = "v3.1.0"

// advisory is a way past the rules that releases of Open vSwitch have.
type advisory struct {
	name string
	what string
	// the first of each branch that does not have it, the newest last: branches behind that do not
	// have it either, and others do
	fixed []string
	// patched are the first packages of a distribution that have the fix under an older number.
	patched string
}

// advisories are those that matter for what Portcullis promises. Sources: the advisories on
// openvswitch.org and oss-security, the commits 9d840923d (CVE-2023-1668) and 489553b1c
// (CVE-2023-5366) of Open vSwitch, and the changelogs of Debian's and Ubuntu's packages.
var advisories = []advisory{
	{"CVE-2023-1668", "a packet with IP protocol 0 can have others treated as it was",
		[]string{"v2.17.6", "v3.0.4", "v3.1.1"}, "Debian's 3.1.0-2 and 2.15.0+ds1-2+deb11u4"},
	{"CVE-2023-5366", "a neighbour advertisement can pass for another target's",
		[]string{"v2.17.9", "v3.1.4", "v3.2.2"}, "Debian's 3.1.0-2+deb12u1 and 2.15.0+ds1-2+deb11u5"},
}

// isIn says whether a release has it.
func (a advisory) isIn(v string) bool {
	newest := a.fixed[len(a.fixed)-1]
	for _, f := range a.fixed {
		if semver.MajorMinor(v) == semver.MajorMinor(f) {
			return semver.Compare(v, f) < 0
		}
	}
	return semver.Compare(v, newest) < 0
}

// Against says what is known against a version of Open vSwitch, as the database has it
// ("3.1.0"). A version that is not known, or not understood, has no warnings.
func Against(text string) []string {
	v, ok := parseVersion(text)
	if !ok {
		return nil
	}
	var out []string
	if semver.Compare(v, oldestTested) < 0 {
		out = append(out, fmt.Sprintf("Open vSwitch %s is older than %s, the oldest that each "+
			"change is tested on", v[1:], oldestTested[1:]))
	}
	for _, a := range advisories {
		if a.isIn(v) {
			out = append(out, fmt.Sprintf("Open vSwitch %s as released has %s: %s. "+
				"Fixed in %s, and under the old number in packages of distributions from %s on",
				v[1:], a.name, a.what,
				strings.ReplaceAll(strings.Join(a.fixed, ", "), "v", ""), a.patched))
		}
	}
	return out
}

// parseVersion reads "3.1.0" as "v3.1.0". What packagers put behind it is passed over: "3.3.0-1",
// "3.1.90~git".
func parseVersion(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if end := strings.IndexFunc(text, func(r rune) bool {
		return r != '.' && (r < '0' || r > '9')
	}); end >= 0 {
		text = text[:end]
	}
	v := semver.Canonical("v" + text)
	return v, v != "" && strings.Contains(text, ".")
}
