package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/controller/agent"
)

const monitoring = "../../docs/monitoring/"

// exported is what the daemon and Prometheus itself know: the labels of each metric.
func exported() map[string][]string {
	out := map[string][]string{"up": nil}
	for _, m := range metrics() {
		out[m.fullName()] = m.labels
	}
	for _, h := range []metricText{reloadText, compileText, applyText, turnText} {
		out[h.fullName()+"_bucket"], out[h.fullName()+"_sum"],
			out[h.fullName()+"_count"] = []string{"le"}, nil, nil
	}
	for _, name := range ofServers() {
		out[name] = nil
	}
	out["portcullis_api_requests_total"] = []string{"method", "route", "status"}
	return out
}

// ofServers are the metrics of the API server, as its source names them.
func ofServers() []string {
	text, err := os.ReadFile("../../cmd/portcullis/serve/metrics.go")
	if err != nil {
		panic(err)
	}
	return regexp.MustCompile(`portcullis_api_[a-z_]+`).FindAllString(string(text), -1)
}

// labelValues are the values of labels that have few.
var labelValues = map[string][]string{
	"direction": {"ingress", "egress"}, "result": {"ok", "failed"}, "job": {"portcullis"},
	"instance": {"$instance"}, "status": {"401", "5.."},
	"state": {string(agent.StateStarting), string(agent.StateInSync), string(agent.StatePending),
		string(agent.StateDegraded), string(agent.PortApplied), string(agent.PortAbsent),
		string(agent.PortError)},
}

// promWords are the words of PromQL that the expressions use.
var promWords = strings.Fields("absent and by histogram_quantile increase min or rate sum time " +
	"topk unless max scalar")

var promToken = regexp.MustCompile(
	`"[^"]*"|[A-Za-z_:][A-Za-z0-9_:]*|\[[^\]]*\]|[0-9.]+|[<>=!]=|=~|!~|\S`)

// checkExpr returns what is wrong with an expression: a metric or label that nobody exports, a word
// that PromQL does not have or parentheses that do not match. It is no parser: what else PromQL
// demands is for promtool (TestAlertsFire).
func checkExpr(expr string) error {
	c := exprCheck{expr: expr, known: exported()}
	tokens := promToken.FindAllString(expr, -1)
	for i, token := range tokens {
		if err := c.next(tokens[:i], token); err != nil {
			return err
		}
	}
	if c.open != "" {
		return fmt.Errorf("%q is never closed", c.open)
	}
	return nil
}

// exprCheck is how far an expression was read.
type exprCheck struct {
	expr          string
	known         map[string][]string
	open          string // parentheses
	metric, label string // the last ones
}

var promRange = regexp.MustCompile(`^\[([0-9]+[smhd]|\$__rate_interval)\]$`)

// next reads one token.
func (c *exprCheck) next(before []string, token string) error {
	inLabels := strings.HasSuffix(c.open, "{")
	switch {
	case token == "(" || token == "{":
		c.open += token
	case token == ")" || token == "}":
		if !strings.HasSuffix(c.open, map[string]string{")": "(", "}": "{"}[token]) {
			return fmt.Errorf("%q closes nothing", token)
		}
		c.open = c.open[:len(c.open)-1]
	case strings.HasPrefix(token, "["):
		if !promRange.MatchString(token) {
			return fmt.Errorf("%s is no range", token)
		}
	case strings.HasPrefix(token, `"`):
		if !inLabels || !slices.Contains(labelValues[c.label], strings.Trim(token, `"`)) {
			return fmt.Errorf("no %s is %s", c.label, token)
		}
	case !isWord(token):
	case inLabels:
		c.label = token
		if !slices.Contains(append(c.known[c.metric], "job", "instance"), token) {
			return fmt.Errorf("%s has no label %s", c.metric, token)
		}
	case strings.HasSuffix(byList(before), "by("):
		return c.group(token)
	default:
		return c.word(token)
	}
	return nil
}

// word reads a metric, or a word of the language.
func (c *exprCheck) word(token string) error {
	if slices.Contains(promWords, token) {
		return nil
	}
	if _, ok := c.known[token]; !ok {
		return fmt.Errorf("nobody exports %s", token)
	}
	c.metric = token
	return nil
}

// group reads a label that something is grouped by: a metric of the expression must have it.
func (c *exprCheck) group(label string) error {
	for name, labels := range c.known {
		if strings.Contains(c.expr, name) && slices.Contains(append(labels, "instance"), label) {
			return nil
		}
	}
	return fmt.Errorf("nothing here has a label %s", label)
}

func isWord(token string) bool { return regexp.MustCompile(`^[A-Za-z_:]`).MatchString(token) }

// byList is what stands before a token, without labels of a list: it ends in "by(" if the token is
// one of those to group by.
func byList(before []string) string {
	at := len(before)
	for at > 0 && (before[at-1] == "," || isWord(before[at-1]) && before[at-1] != "by") {
		at--
	}
	return strings.Join(before[:at], "")
}

func TestCheckExpr(t *testing.T) {
	for expr, want := range map[string]string{
		`portcullis_in_sync == 0`:                                   "",
		`up{job="portcullis"} == 0 or absent(up{job="portcullis"})`: "",
		`sum by (instance, port) (rate(portcullis_port_denied_packets_total{direction="egress", instance=~"$instance"}[5m])) > 50`: "",
		`histogram_quantile(0.9, sum by (le) (rate(portcullis_apply_duration_seconds_bucket[$__rate_interval])))`:                  "",
		`portcullis_insync == 0`:               "nobody exports portcullis_insync",
		`portcullis_ports{port="x"}`:           "has no label port",
		`portcullis_ports{state="errors"}`:     `no state is "errors"`,
		`rate(portcullis_in_sync[5x])`:         "is no range",
		`rate(portcullis_in_sync[5m]`:          "never closed",
		`portcullis_in_sync)`:                  "closes nothing",
		`speed(portcullis_in_sync)`:            "nobody exports speed",
		`sum by (colour) (portcullis_in_sync)`: "nothing here has a label colour",
		`rate(portcullis_apply_duration_seconds[5m])`: "nobody exports " +
			"portcullis_apply_duration_seconds",
		`portcullis_apply_duration_seconds_total{job="x"}`:  "nobody exports",
		`portcullis_rule_admitted_packets_total{port="p1"}`: "has no label port",
	} {
		err := checkExpr(expr)
		if want == "" {
			require.NoError(t, err, expr)
			continue
		}
		require.ErrorContains(t, err, want, expr)
	}
}

// The alerts ask only for what there is, and each names a paragraph of docs/operations.md that is
// about it.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(monitoring + "alerts.yaml")
	require.NoError(t, err)
	operations, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	require.Len(t, file.Groups, 1)
	seen := map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		require.NoError(t, checkExpr(r.Expr), r.Alert)
		require.False(t, seen[r.Alert], r.Alert)
		seen[r.Alert] = true
		require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"])
		require.Equal(t, "/usr/share/doc/portcullis/operations.md#"+strings.ToLower(r.Alert), r.Annotations["runbook"])
		require.Contains(t, string(operations), "\n### "+r.Alert+"\n")
	}
	require.Equal(t, strings.Count(string(operations), "\n### Portcullis"), len(seen),
		"a paragraph without its alert")
}

// The dashboard asks only for what there is, and panels do not lie upon one another.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(monitoring + "dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Name string } }
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	require.Len(t, dashboard.Templating.List, 2)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		require.NotEmpty(t, p.Targets, p.Title)
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		for _, target := range p.Targets {
			require.NoError(t, checkExpr(target.Expr), p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Less(t, at[0], 24, p.Title)
				require.Empty(t, taken[at], p.Title)
				taken[at] = p.Title
			}
		}
	}
}

// Prometheus' own tool reads the alerts and lets them fire, where it is installed: Debian's package
// prometheus is too large for integration/setup.sh to bring it.
func TestAlertsFire(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v (Debian: apt-get install prometheus)", err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules",
		"alerts.test.yaml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = monitoring
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
