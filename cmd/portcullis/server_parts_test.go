package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// overseen is a server that is asked through a proxy, which notes what is asked for.
type overseen struct {
	*apiServer
	mu    sync.Mutex
	paths []string
	isOld bool // it knows no parts, as servers did not before
	// before is done before a request goes on; nil = nothing is
	before func(*http.Request)
}

func oversee(t *testing.T) *overseen {
	o := &overseen{apiServer: newServer(t)}
	target, err := url.Parse(o.url)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		o.mu.Lock()
		o.paths = append(o.paths, req.URL.RequestURI())
		isOld, before := o.isOld, o.before
		o.mu.Unlock()
		if before != nil {
			before(req)
		}
		if isOld && strings.HasSuffix(req.URL.Path, "/part") {
			req.URL.Path = "/v1/there-is-no-such-thing"
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(between.Close)
	o.url = between.URL
	return o
}

// asked is what was asked for since it was called last.
func (o *overseen) asked(isOld bool) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.paths
	o.paths, o.isOld = nil, isOld
	return out
}

// asksForAll says whether the whole policy was asked for.
func asksForAll(paths []string) bool {
	for _, path := range paths {
		if strings.HasSuffix(path, "/part") || strings.HasSuffix(path, "/policy") {
			return true
		}
	}
	return false
}

// parts makes a policy of two projects by commands, and a token of each kind.
func (o *overseen) parts() (operator, tenant string) {
	_, operator = o.token("--role", "operator")
	for _, line := range []string{"project add acme", "project add other",
		"group add office --network --external-source 198.51.100.0/24",
		"group add web --description front --shared", "group add db", "group add other/balancers --shared",
		"group add other/secret", "rule add web ingress tcp 80 from office",
		"rule add db ingress tcp 3306 from group web",
		"instance add web-1 --host hv1 --group web --port " + port(1, 11) + ",address=203.0.113.11",
		"instance add db-1 --group db --port " + port(1, 12) + ",trusted=true",
		"instance add other/vm-secret --group other/secret --port " + port(5, 15)} {
		o.must(operator, strings.Fields(line)...)
	}
	made := o.must(operator, "token", "create", "--role", "editor", "--project", "acme")
	tenant = strings.TrimSpace(made.out)
	for _, line := range []string{"group add web", "group add zone", "rule add web ingress tcp 443 from " +
		"group other/balancers", "rule add zone ingress tcp 22 from office",
		"rule add zone egress udp 53 to group web",
		"instance add vm --host hv1 --group web --port " + port(7, 17) + ",address=203.0.113.17"} {
		o.must(tenant, strings.Fields(line)...)
	}
	return operator, tenant
}

// port is one in a word.
func port(tap, mac int) string { return fmt.Sprintf("name=tap%d,mac=02:00:00:00:00:%d", tap, mac) }

// ruleOf is the ID of the only rule of a group.
func (o *overseen) ruleOf(token, group string) string {
	o.t.Helper()
	lines := strings.Split(o.must(token, "rule", "list", group).out, "\n")
	id, _, _ := strings.Cut(lines[1], " ")
	return id
}

// Every verb that tells of objects asks for the part that it is about, and tells of it what it
// tells of the whole: a server that knows no parts has it told the same, and so does the database.
func TestReadsAskForParts(t *testing.T) {
	o := oversee(t)
	operator, tenant := o.parts()
	wholly := map[string]bool{"project list": true}
	for who, lines := range map[string][]string{
		operator: {"group list", "group show web", "group show office", "group show acme/web",
			"rule list", "rule list web", "rule show " + o.ruleOf(operator, "db"), "instance list",
			"instance show web-1", "port list", "port list web-1", "port show web-1/tap1", "host list",
			"host show hv1", "host show nothing", "project list", "project show acme"},
		tenant: {"group list", "group show web", "group show office", "rule list", "rule list zone",
			"rule show " + o.ruleOf(tenant, "web"), "instance list", "instance show vm", "port list",
			"port list vm", "port show tap7"}} {
		for _, line := range lines {
			for _, format := range []string{"table", "json"} {
				args := append(strings.Fields(line), "-o", format)
				o.asked(false)
				told := o.must(who, args...)
				assert.Equal(t, wholly[line], asksForAll(o.asked(true)), line)
				assert.Equal(t, o.must(who, args...).out, told.out, "%s: by an older server", line)
				assert.True(t, asksForAll(o.asked(false)), line)
				if who == operator {
					of := call(t, append(args, "--db", o.db.endpoint)...)
					assert.Equal(t, of.out, told.out, "%s: by the database", line)
				} else {
					assert.NotContains(t, told.out, "secret")
				}
			}
		}
	}
}

// What is not there is said as of the whole policy, with the name that is nearest; a port that two
// instances have is named with both; of another project nothing is told, whatever is asked.
func TestReadsOfWhatIsNotThere(t *testing.T) {
	o := oversee(t)
	operator, tenant := o.parts()
	for who, lines := range map[string][]string{
		operator: {"group show wbe", "instance show web-2", "rule list wbe", "port show tap2",
			"port show tap1", "port list web-2", "rule show 7", "project show acm"},
		tenant: {"group show other/secret", "group show secret", "instance show other/vm-secret",
			"port show tap5", "port show tap1", "port list web-1", "group show db"}} {
		for _, line := range lines {
			o.asked(false)
			told := o.call(who, strings.Fields(line)...)
			assert.Equal(t, 1, told.code, line)
			o.asked(true)
			assert.Equal(t, o.call(who, strings.Fields(line)...).errOut, told.errOut, line)
			if who == operator {
				of := call(t, append(strings.Fields(line), "--db", o.db.endpoint)...)
				assert.Equal(t, of.errOut, told.errOut, line)
				continue
			}
			said := strings.NewReplacer(`"other/secret"`, "", `"secret"`, "", `"other/vm-secret"`, "").
				Replace(told.errOut)
			assert.NotContains(t, said, "secret", line)
			assert.NotContains(t, said, "web-1/", line)
		}
	}
	assert.Contains(t, o.call(operator, "group", "show", "wbe").errOut, "web")
	assert.Contains(t, o.call(operator, "port", "show", "tap1").errOut, "db-1/tap1, web-1/tap1")
}

// writes are verbs of each kind, in an order in which all are possible but for those that begin
// with "no ", which are refused.
func (o *overseen) writes(operator string) []string {
	return []string{"group add late --description x", "no group add web", "group set web --shared=false",
		"no group set wbe --shared", "no group remove web", "group remove late", "no group remove late",
		"rule add db ingress tcp 22 from office", "no rule add db ingress tcp 22 from office",
		"no rule add db ingress tcp 23 from group nobody",
		"rule remove db ingress tcp 22 from office", "no rule remove 7",
		"rule set " + o.ruleOf(operator, "db") + " ingress tcp 3307 from group web",
		"no rule set 7 --description x",
		"instance add late --group web --port " + port(21, 31) + ",address=203.0.113.31",
		"no instance add web-1 --port " + port(22, 32), "no instance add twin --port " + port(22, 31),
		"instance add late --replace --group db --port " + port(21, 31) + ",address=203.0.113.31",
		"instance set late --join web --leave db", "no instance set late --join nobody",
		"instance move late --to hv7", "no instance move nobody --to hv7", "port add late tap23 --mac " +
			"02:00:00:00:00:33 --address 203.0.113.33", "port set late/tap23 --log-denied",
		"no port set tap1 --trusted", "port remove tap23", "no port remove tap21", "host drain hv7 --to hv8",
		"no host drain hv7", "instance remove late", "no instance remove late",
		"project set acme --description x", "no project add acme", "no project remove acme"}
}

// Every verb that changes an object asks for the part that it changes, and says of it, planned and
// made, what it says where the whole is asked for; the policy is the same after it.
func TestWritesAskForParts(t *testing.T) {
	o, old := oversee(t), oversee(t)
	operator, _ := o.parts()
	other, _ := old.parts()
	for _, line := range o.writes(operator) {
		line, isRefused := strings.CutPrefix(line, "no ")
		for _, flag := range []string{"--dry-run", "-ojson"} {
			args := append(strings.Fields(line), flag)
			o.asked(false)
			told := o.call(operator, args...)
			assert.Equal(t, isRefused, told.code != 0, "%v: %s", args, told.errOut)
			if !isRefused {
				assert.False(t, asksForAll(o.asked(false)), "%v", args)
			}
			old.asked(true)
			of := old.call(other, args...)
			assert.Equal(t, of.out, told.out, "%v", args)
			place := regexp.MustCompile(`"request":? "?\w+|request \w+`)
			assert.Equal(t, place.ReplaceAllString(of.errOut, ""), place.ReplaceAllString(told.errOut, ""),
				"%v", args)
		}
		o.asked(false)
		assert.Equal(t, old.must(other, "export").out, o.must(operator, "export").out, line)
	}
}

// A change of a part that somebody else outruns is made of what they have made, and loses nothing
// of it, though both change the same group.
func TestAPartThatIsOutrun(t *testing.T) {
	o := oversee(t)
	operator, _ := o.parts()
	var once sync.Once
	o.mu.Lock()
	o.before = func(req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/changes") {
			once.Do(func() {
				call(t, "group", "set", "web", "--description", "theirs", "--db", o.db.endpoint)
			})
		}
	}
	o.mu.Unlock()
	o.must(operator, "rule", "add", "web", "ingress", "tcp", "8080", "from", "office")
	shown := o.must(operator, "group", "show", "web").out
	assert.Contains(t, shown, "theirs")
	assert.Contains(t, shown, "8080")
}
