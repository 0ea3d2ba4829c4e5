package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"
)

const (
	examplePolicy = "../../docs/examples/policy.yaml"
	exampleTests  = "../../docs/examples/policy.test.yaml"
)

// tests writes a file of assertions, one a line.
func tests(t *testing.T, lines ...string) string {
	t.Helper()
	return written(t, "tests:\n  - "+strings.Join(lines, "\n  - ")+"\n")
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.test.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// test runs the command on the example policy.
func test(t *testing.T, args ...string) answer {
	t.Helper()
	return call(t, append([]string{"test", "--policy", examplePolicy}, args...)...)
}

// The example's tests hold of the example, without settings; of a policy that lost a rule, or has
// one too many, those that are about it do not.
func TestPolicyTestsOfTheExample(t *testing.T) {
	got := test(t, exampleTests)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Regexp(t, `^\d+ tests: passes\n$`, got.out)
	require.Empty(t, got.errOut)
	text, err := os.ReadFile(examplePolicy)
	require.NoError(t, err)
	for _, c := range []struct{ old, new, says string }{
		{"ports: 3306, group: frontend", "ports: 3307, group: frontend",
			"in the list, but frontend → backend mysql (tcp/3306) is not admitted"},
		{"ports: 3306, group: frontend", "ports: 3306-3307, group: frontend",
			"admitted, but not in the list:\n    web-1, web-2 → db-1, db-2 (IPv4): admitted\n"},
		{"ports: 80, cidr: 0.0.0.0/0}", "ports: 80, cidr: 0.0.0.0/1}",
			"outside → frontend http (tcp/80) is not admitted for "},
		{"cidr: 198.51.100.0/24", "cidr: 198.51.100.0/25",
			"198.51.100.0/24 → mgmt-1 ssh (tcp/22) is not admitted for 1 of 2 pairs of addresses"},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		require.NotEqual(t, string(text), changed)
		got := call(t, "test", "--policy", written(t, changed), exampleTests)
		require.Equal(t, 1, got.code, got.out+got.errOut)
		require.Contains(t, got.out, c.says)
		require.Regexp(t, `FAIL  \.\./\.\./docs/examples/policy\.test\.yaml:\d+:5: `, got.out)
	}
}

// One line of a file, whether it holds, and what is said where it does not; each beside its broken
// twin.
func TestPolicyTestLines(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"outside -> db-1 mysql denied", 0, ""},
		{"outside -> db-1 mysql admitted", 1, "nearest: backend: ingress tcp 3306 from group frontend (" +
			examplePolicy + ":14:9): only from group frontend; 0.0.0.0/0 is none of its members"},
		{"frontend → backend mysql admitted", 0, ""},
		{"frontend → backend mysql denied", 1, "admitted  backend: ingress tcp 3306 from group frontend (" +
			examplePolicy + ":14:9)"},
		{"frontend -> backend tcp denied", 1, "is not denied"},
		{"frontend -> backend tcp admitted", 1, "of the question only tcp 3306 passes"},
		{"any -> mgmt-1 mysql denied ipv4", 0, ""},
		{"any -> web-1 http denied ipv6", 1, "::/0 → web-1 (IPv6): admitted"},
		{"198.51.100.7 -> mgmt-1 ssh admitted", 0, ""},
		{"198.51.100.7 -> mgmt-1 ssh admitted ipv6", 1,
			"it is about no packet: there is no pair of IPv6 addresses"},
		{"198.51.100.7 -> 198.51.100.8 ssh denied", 1, "it is about no packet: "},
		{"web-1 -> web-1 ssh denied", 1, "it is about no packet: no pair at two ports"},
		{"frontend -> backend icmpv6/135 denied", 1, "neighbour discovery"},
		{"mgmt-1: only 198.51.100.0/24 ssh", 0, ""}, {"mgmt-1: nobody", 1,
			"admitted, but not in the list:\n    198.51.100.0/24 → mgmt-1 (IPv4): admitted"},
		{"mgmt-1 <- nobody ipv6", 0, ""},
		{"mgmt-1: only outside ssh", 1, "in the list, but outside → mgmt-1 ssh (tcp/22) is not admitted"},
		{"mgmt-1: only 198.51.100.0/24 ssh, 203.0.113.0/24 ssh", 1,
			"in the list, but 203.0.113.0/24 → mgmt-1"},
		{"web-1 -> nobody", 1, "egress is open"},
	} {
		t.Run(c.line, func(t *testing.T) {
			got := test(t, tests(t, c.line))
			require.Equal(t, c.code, got.code, got.out+got.errOut)
			require.Contains(t, got.out, c.says)
			if c.code == 0 {
				require.Equal(t, "1 test: passes\n", got.out)
			} else {
				require.Contains(t, got.out, "policy.test.yaml:2:5: ")
			}
		})
	}
}

// What cannot be read or asked ends with 2 and says where, all of it at once.
func TestPolicyTestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"empty":      {"", []string{":1:1: the file has no content; write tests:"}},
		"no tests":   {"via: direct\n", []string{"there are no tests"}},
		"empty list": {"tests: []\n", []string{":1:8: tests: there are no tests"}},
		"no list":    {"tests: outside -> db-1 mysql denied\n", []string{"must be a list"}},
		"key":        {"test:\n  - a\n", []string{`unknown key "test"; did you mean "tests"?`}},
		"via":        {"via: tunnel\ntests: [a -> b denied]\n", []string{":1:6: via: must be direct or router"}},
		"verdict": {"tests:\n  - a -> b mysql allowed\n  - db-1: frontend mysql\n  - web-1 db-1 ssh denied\n",
			[]string{`policy.test.yaml:2:5: tests[0]: the last word must be admitted or denied, not "allowed"; did you mean "admitted"?`,
				"policy.test.yaml:3:11: tests[1].db-1: must be 'only' and a list", ":4:5: tests[2]: there is no arrow"}},
		"service": {"tests:\n  - web-1 -> db-1 80 denied\n", []string{":2:5: ", "did you mean tcp/80, udp/80"}},
		"ends": {"tests:\n  - frontned -> db-1 mysql denied\n  - db-1: only web mysql\n",
			[]string{`policy.test.yaml:2:5: there is no instance, port, group or host "frontned"; did you mean group "frontend"?`,
				`policy.test.yaml:3:5: there is no instance, port, group or host "web"`}},
		"anchors": {"tests:\n  - &a b\n", []string{":2:5: "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := test(t, written(t, c.text))
			require.Equal(t, 2, got.code, got.out+got.errOut)
			require.Empty(t, got.out)
			for _, s := range c.says {
				require.Contains(t, got.errOut, s)
			}
		})
	}
	for _, args := range [][]string{{}, {nowhere}, {exampleTests, "--run", "("},
		{exampleTests, "--run", "no such test"}, {exampleTests, "-o", "xml"},
		{exampleTests, "--policy", nowhere}, {exampleTests, "--policy", written(t, "bogus: 1\n")}} {
		got := call(t, append([]string{"test"}, args...)...)
		require.Equal(t, 2, got.code, "%v %s", args, got.out)
		require.NotEmpty(t, got.errOut)
		require.Empty(t, got.out)
	}
}

func TestPolicyTestRun(t *testing.T) {
	path := tests(t, "{name: office, test: 198.51.100.0/24 -> mgmt-1 ssh admitted}",
		"outside -> db-1 mysql admitted", "frontend -> backend mysql admitted")
	require.Equal(t, 1, test(t, path).code)
	got := test(t, path, "--run", "^office$|frontend", "-v")
	require.Equal(t, 0, got.code)
	require.Equal(t, "ok    "+path+":2:5: office: 198.51.100.0/24 -> mgmt-1 ssh admitted\nok    "+path+
		":4:5: frontend -> backend mysql admitted\n2 tests: passes\n", got.out)
}

// What machines read is read back: by a library of theirs, and as JSON.
func TestPolicyTestForMachines(t *testing.T) {
	path := tests(t, "{name: \"<a> & \\\"b\\\"\", test: outside -> db-1 mysql admitted}",
		"frontend -> backend mysql admitted")
	got := test(t, path, exampleTests, "-o", "junit")
	require.Equal(t, 1, got.code, got.errOut)
	suites, err := junit.Ingest([]byte(got.out))
	require.NoError(t, err)
	require.Len(t, suites, 2)
	require.Equal(t, path, suites[0].Name)
	require.Equal(t, 1, suites[0].Totals.Failed)
	require.Equal(t, 1, suites[0].Totals.Passed)
	require.Zero(t, suites[1].Totals.Failed)
	one := suites[0].Tests[0]
	require.Equal(t, `<a> & "b": outside -> db-1 mysql admitted`, one.Name)
	require.Equal(t, "2", one.Properties["line"])
	require.Equal(t, "outside → db-1 mysql (tcp/3306) is not admitted", one.Message)
	require.ErrorContains(t, one.Error, "nearest: backend: ingress tcp 3306 from group frontend")
	require.NotRegexp(t, regexp.MustCompile(`\x1b\[`), got.out)

	got = test(t, path, "-o", "json")
	require.Equal(t, 1, got.code)
	var out struct {
		Tests, Failed int
		Results       []struct {
			Name, Text, File, At string
			Holds                bool
			Findings             []struct {
				What  string
				Kinds []struct{ Verdict, Family string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &out), got.out)
	require.Equal(t, []int{2, 1}, []int{out.Tests, out.Failed})
	require.Equal(t, path+":2:5", out.Results[0].At)
	require.False(t, out.Results[0].Holds)
	require.Equal(t, "denied", out.Results[0].Findings[0].Kinds[0].Verdict)
	require.True(t, out.Results[1].Holds)
	require.Empty(t, out.Results[1].Findings)
	require.NotContains(t, got.out, "Expected", "only what is documented is shown")
}

// The page about pipelines shows a file of assertions that holds, and what is said where it does
// not.
func TestCIPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/howto/ci.md")
	require.NoError(t, err)
	dir := t.TempDir()
	for _, b := range blocks(t, "../../docs/howto/ci.md") {
		if b.Name == "policy.test.yaml" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, b.Name), []byte(b.Text), 0o600))
		}
	}
	path := filepath.Join(dir, "policy.test.yaml")
	got := test(t, path)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Contains(t, string(text), "--policy policy.yaml\n"+got.out+"```\n")

	policy, err := os.ReadFile(examplePolicy)
	require.NoError(t, err)
	broken := written(t, strings.Replace(string(policy), "ports: 3306, group: frontend",
		"ports: 3306, cidr: 0.0.0.0/0", 1))
	got = call(t, "test", path, "--policy", broken)
	require.Equal(t, 1, got.code)
	shown := regexp.MustCompile("(?s)```text\n(FAIL .*?)      …\n```").FindSubmatch(text)
	require.NotNil(t, shown)
	out := strings.NewReplacer(path, "policy.test.yaml", broken, "policy.yaml").Replace(got.out)
	require.Contains(t, out, string(shown[1]))
}
