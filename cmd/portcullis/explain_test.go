package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExplain(t *testing.T) {
	settings := site(t, goodPolicy)
	explain := func(args ...string) answer {
		return call(t, append([]string{"explain", "--config", settings}, args...)...)
	}
	got := explain("--from", "198.51.100.7", "--to", "web-1", "tcp/80")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out,
		"198.51.100.7 → web-1 tcp/80: ADMITTED\n\n198.51.100.7 → web-1 203.0.113.11\n"+
			"  ingress of web-1  admitted  web: ingress tcp 80 from 0.0.0.0/0 (")
	require.Contains(t, got.out, "policy.yaml:4:9)")

	got = explain("--from", "198.51.100.7", "--to", "web-1", "tcp/81")
	require.Equal(t, 1, got.code)
	require.Empty(t, got.errOut)
	require.Contains(t, got.out, "DENIED")
	require.Contains(t, got.out, "nearest: web: ingress tcp 80 from 0.0.0.0/0 (")
	require.Contains(t, got.out, ": admits tcp 80, not tcp 81\n")

	got = explain("--from", "web-2", "--to", "tap1@203.0.113.12", "tcp/80")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out,
		"guard  denied  not an address of the receiver: tap1 has 203.0.113.11, 2001:db8::11")

	got = explain("--from", "any", "--to", "web-1")
	require.Equal(t, 0, got.code)
	require.Contains(t, got.out, "who may open connections to web-1 (203.0.113.11), service any:")
	require.Contains(t, got.out, "  web-2, web-3        tcp 80\n")
	require.Equal(t, 1, explain("--from", "any", "--to", "web-1", "udp/53").code)
	require.Contains(t, explain("--from", "web-2", "--to", "any", "tcp/80").out,
		"outside, 0.0.0.0/0  tcp 80")
}

func TestExplainAsJSON(t *testing.T) {
	got := call(t, "explain", "--config", site(t, goodPolicy), "--from", "198.51.100.7", "--to",
		"web-1", "-o", "json", "tcp/81")
	require.Equal(t, 1, got.code)
	var e struct {
		Verdict string
		Routes  []struct {
			Verdict string
			Pairs   []struct {
				From, To struct{ Instance, Address string }
			}
			Ingress struct {
				Verdict string
				Nearest []struct{ Group, Rule, At, Missing string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &e))
	require.Equal(t, "denied", e.Verdict)
	require.Equal(t, "web-1", e.Routes[0].Pairs[0].To.Instance)
	require.Equal(t, "admits tcp 80, not tcp 81", e.Routes[0].Ingress.Nearest[0].Missing)
	require.NotContains(t, got.out, "Addresses", "only what is documented is shown")
	var list []struct {
		Direction string
		Outside   []struct{ Network, Services string }
		Instances []struct {
			Services string
			Peers    []struct{ Instance, Port, Host, Address string }
		}
	}
	got = call(t, "explain", "--config", site(t, goodPolicy), "--from", "any", "--to", "web-1",
		"-o", "json")
	require.NoError(t, json.Unmarshal([]byte(got.out), &list), got.out)
	require.Equal(t, "0.0.0.0/0", list[0].Outside[0].Network)
	require.Equal(t, "web-3", list[0].Instances[0].Peers[1].Instance)
}

func TestExplainRefuses(t *testing.T) {
	settings := site(t, goodPolicy)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, `did you mean instance "web-1"?`, []string{"--from", "wbe-1", "--to", "web-2"}},
		{1, `--to: there is no instance, port, group or host "nobody"`,
			[]string{"--from", "web-1", "--to", "nobody"}},
		{2, "needs two ends: --from and --to", []string{"--from", "web-1"}},
		{2, "needs two ends, such as", nil},
		{2, `there is no service "tpc"; did you mean "tcp"?`, []string{"--from", "web-1", "--to", "web-2", "tpc"}},
		{2, `"tcp/81" is too much`, []string{"--from", "web-1", "--to", "web-2", "tcp/80",
			"tcp/81"}},
		{2, "--live needs one packet", []string{"--from", "web-1", "--to", "web-2", "--live",
			"tcp"}},
		{2, "--live needs two ends", []string{"--from", "any", "--to", "web-2", "--live",
			"tcp/80"}},
		{2, "--flow stands alone", []string{"--flow", "0x1", "--to", "web-2"}},
		{2, "--dump goes with --flow", []string{"--dump", "x", "--from", "web-1", "--to", "web-2"}},
		{1, "--live: list the ports", []string{"--from", "web-1", "--to", "web-2", "--live",
			"tcp/80"}},
		{1, "want a cookie", []string{"--flow", "x"}},
		{1, "no such file", []string{"--flow", "0x1", "--dump", nowhere}},
	} {
		got := call(t, append([]string{"explain", "--config", settings}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %s", c.args, got.errOut)
		require.Contains(t, got.errOut, c.says, c.args)
	}
}

func TestExplainFlow(t *testing.T) {
	settings := site(t, goodPolicy)
	flows := call(t, "flows", "--config", settings).out
	dump := filepath.Join(t.TempDir(), "dump")
	require.NoError(t, os.WriteFile(dump, []byte(flows), 0o600))
	for line := range strings.Lines(flows) {
		if !strings.Contains(line, "table=52") || !strings.Contains(line, "reg1=0x1,tp_dst=80") {
			continue
		}
		cookie := strings.TrimPrefix(strings.Split(line, ",")[0], "cookie=")
		got := call(t, "explain", "--config", settings, "--dump", dump, "--flow", cookie)
		require.Equal(t, 0, got.code, got.errOut)
		require.Contains(t, got.out,
			"  Table 52, ingress_rules: TCP over IPv4 judged for port tap1 of web-1, to port 80: "+
				"admitted, by web: ingress tcp 80 from 0.0.0.0/0 (")
		require.Contains(t, got.out, "policy.yaml:4:9)")
		require.Contains(t, call(t, "explain", "--config", settings, "--dump", dump, "--flow",
			"0x1").errOut, "no flow of our tables")
		return
	}
	require.Fail(t, "no flow of the rule", flows)
}

// The switch itself is asked; where it does something else than the policy, both verdicts are shown
// and the answer is no.
func TestExplainLive(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	status := d.settled()
	require.NotZero(t, status.Ports[0].OFPort, "a dummy port is there at once")
	live := func(args ...string) answer {
		return call(t, append([]string{"explain", "--live", "--config", d.settings}, args...)...)
	}
	got := live("--from", "web-2", "--to", "web-1", "tcp/80")
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Contains(t, got.out,
		"not traced: by a router: enters by eth1, which the bridge does not have\nthe switch "+
			"agrees: 2 packets traced\n"+
			"  directly on the link, entering by tap2, 02:00:00:00:00:12 → 02:00:00:00:00:11: "+
			"sent out of tap1\n"+
			"  by a router, entering by tap2, 02:00:00:00:00:12 → 02:ff:ff:00:00:00: dropped\n")
	got = live("--from", "web-2", "--to", "web-1", "tcp/81")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "the switch agrees")
	d.stop(os.Interrupt)
	d.vs.Ofctl("add-flow", "br-int",
		"table=52,priority=999,tcp,tp_dst=81,actions=set_field:0x1/0x1->reg0")
	got = live("--from", "web-2", "--to", "web-1", "tcp/81")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "DIFFERS: the switch does something else")
	require.Contains(t, got.out, "  the policy:  dropped\n  the switch:  sent out of tap1\n")
	d.vs.Ofctl("del-flows", "br-int", "table=60")
	got = live("--from", "web-2", "--to", "web-1", "tcp/80")
	require.Equal(t, 1, got.code, "the rules admit, but the switch drops")
	require.Contains(t, got.out, "tcp/80: ADMITTED")
	require.Contains(t, got.out, "  the policy:  sent out of tap1\n  the switch:  dropped\n")
}
