package agent

import (
	"fmt"
	"strconv"
	"strings"
)

// version is a release of Open vSwitch.
type version struct{ major, minor, patch int }

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

// branch is a version without its patch.
func (v version) branch() [2]int { return [2]int{v.major, v.minor} }

func (v version) isBefore(w version) bool {
	for i, n := range []int{v.major, v.minor, v.patch} {
		if m := []int{w.major, w.minor, w.patch}[i]; n != m {
			return n < m
		}
	}
	return false
}

// oldestTested is the oldest version that the tests run on.
var oldestTested = version{3, 1, 0}

// advisory is a way past the rules that releases of Open vSwitch have.
type advisory struct {
	name  string
	what  string
	fixed []version // the first of each branch that does not have it; branches behind the last do not
	// patched is the first package of a distribution that has the fix under an older number.
	patched string
}

// advisories are those that matter for what Portcullis promises. Sources: the advisories on openvswitch.org and oss-security, the commits
// 9d840923d (CVE-2023-1668) and 489553b1c (CVE-2023-5366) of Open vSwitch, and the changelog of Debian's package.
var advisories = []advisory{
	{"CVE-2023-1668", "a packet with IP protocol 0 can have others treated as it was", []version{{3, 1, 1}}, "Debian's 3.1.0-2"},
	{"CVE-2023-5366", "a neighbour advertisement can pass for another target's", []version{{3, 1, 4}, {3, 2, 2}}, "Debian's 3.1.0-2+deb12u1"},
}

// isIn says whether a release has the advisory.
func (h advisory) isIn(v version) bool {
	for _, f := range h.fixed {
		if v.branch() == f.branch() || v.isBefore(h.fixed[0]) {
			return v.isBefore(f)
		}
	}
	return false
}

// versionWarnings says what is known against a version of Open vSwitch, as the database has it ("3.1.0"). A version that is not known, or
// not understood, has no warnings.
func versionWarnings(text string) []string {
	v, ok := parseVersion(text)
	if !ok {
		return nil
	}
	var out []string
	if v.isBefore(oldestTested) {
		out = append(out, fmt.Sprintf("Open vSwitch %s is older than %s, the oldest that was tested", v, oldestTested))
	}
	for _, h := range advisories {
		if h.isIn(v) {
			out = append(out, fmt.Sprintf("Open vSwitch %s as released has %s: %s. Fixed in %s, and under the old number in packages of distributions from %s on",
				v, h.name, h.what, words(h.fixed), h.patched))
		}
	}
	return out
}

// words lists versions.
func words(versions []version) string {
	var out []string
	for _, v := range versions {
		out = append(out, v.String())
	}
	return strings.Join(out, ", ")
}

// parseVersion reads "3.1.0", and what packagers put behind it is passed over: "3.3.0-1", "3.1.90~git".
func parseVersion(text string) (version, bool) {
	text = strings.TrimSpace(text)
	if end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); end >= 0 {
		text = text[:end]
	}
	parts := strings.Split(text, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return version{}, false
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil {
			return version{}, false
		}
	}
	return version{n[0], n[1], n[2]}, true
}

// noteVersion notes the version of Open vSwitch, and logs what is known against a new one.
func (r *reconciler) noteVersion(ovs string) {
	if ovs == r.ovs {
		return
	}
	r.ovs = ovs
	for _, w := range versionWarnings(ovs) {
		r.log.Warn(w)
	}
}
