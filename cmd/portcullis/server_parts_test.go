package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
}

func oversee(t *testing.T) *overseen {
	o := &overseen{apiServer: newServer(t)}
	target, err := url.Parse(o.url)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		o.mu.Lock()
		o.paths = append(o.paths, req.URL.RequestURI())
		isOld := o.isOld
		o.mu.Unlock()
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
		"instance add web-1 --host hv1 --group web --port name=tap1,mac=02:00:00:00:00:11,address=203.0.113.11",
		"instance add db-1 --group db --port name=tap1,mac=02:00:00:00:00:12,trusted=true",
		"instance add other/vm-secret --group other/secret --port name=tap5,mac=02:00:00:00:00:15"} {
		o.must(operator, strings.Fields(line)...)
	}
	made := o.must(operator, "token", "create", "--role", "editor", "--project", "acme")
	tenant = strings.TrimSpace(made.out)
	for _, line := range []string{"group add web", "group add zone", "rule add web ingress tcp 443 from " +
		"group other/balancers", "rule add zone ingress tcp 22 from office",
		"rule add zone egress udp 53 to group web",
		"instance add vm --host hv1 --group web --port name=tap7,mac=02:00:00:00:00:17,address=203.0.113.17"} {
		o.must(tenant, strings.Fields(line)...)
	}
	return operator, tenant
}

// ruleOf is the ID of the only rule of a group.
func (o *overseen) ruleOf(token, group string) string {
	o.t.Helper()
	lines := strings.Split(o.must(token, "rule", "list", group).out, "\n")
	id, _, _ := strings.Cut(lines[1], " ")
	return id
}

// Every verb that tells of objects asks for the part that it is about, and tells of it what it tells
// of the whole: a server that knows no parts has it told the same, and so does the database.
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
