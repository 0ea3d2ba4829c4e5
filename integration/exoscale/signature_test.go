package exoscale

import (
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v2 "github.com/exoscale/egoscale/v2"
	"github.com/exoscale/egoscale/v2/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ofGroups = "/v2/security-group"

// TestSignatures refuses each request that is wrong in one thing, and answers the one that is
// right.
func TestSignatures(t *testing.T) {
	c := newCloud(t)
	key, other := c.key("--role", "editor", "--project", "acme"), c.key("--role", "editor")
	soon := time.Now().Add(10 * time.Minute)
	const body = `{"name":"web"}`
	right := sign(key, "POST", ofGroups, body, soon)
	mixed := pair{Key: key.Key, Secret: other.Secret}
	cut := func(from, to string) string { return strings.Replace(right, from, to, 1) }
	visible := sign(key, "GET", ofGroups+"?visibility=public", "", soon)
	for _, w := range []struct {
		what, method, target, body, header, say string
		status                                  int
	}{
		{"nothing", "POST", ofGroups, body, "", "sign the request", 401},
		{"a bearer token", "POST", ofGroups, body, "Bearer x", "sign the request", 401},
		{"another method", "PUT", ofGroups + "/x:attach", body, right, "not known", 401},
		{"another path", "POST", ofGroups + "/x/rules", body, right, "not known", 401},
		{"an altered body", "POST", ofGroups, `{"name":"wob"}`, right, "altered", 401},
		{"no body", "POST", ofGroups, "", right, "altered", 401},
		{"another secret", "POST", ofGroups, body, sign(mixed, "POST", ofGroups, body, soon),
			"not known", 401},
		{"no such key", "POST", ofGroups, body, cut(key.Key, "EXO0"), "not known", 401},
		{"another's key", "POST", ofGroups, body, cut(key.Key, other.Key), "not known", 401},
		{"a later end", "POST", ofGroups, body, cut("expires=", "expires=1"), "would hold", 401},
		{"an end that is over", "POST", ofGroups, body, sign(key, "POST", ofGroups, body,
			time.Now().Add(-time.Minute)), "expired", 401},
		{"too late an end", "POST", ofGroups, body, sign(key, "POST", ofGroups, body,
			time.Now().Add(time.Hour)), "is yours right?", 401},
		{"no end", "POST", ofGroups, body, cut("expires=", "expires=x"), "must be a time", 401},
		{"a key twice", "POST", ofGroups, body, right + ",expires=1", "twice", 401},
		{"a key nobody knows", "POST", ofGroups, body, right + ",signed-headers=host", "known are", 401},
		{"no signature", "POST", ofGroups, body, right[:strings.Index(right, ",signature")],
			"needs credential", 401},
		{"a query that is not signed", "GET", ofGroups + "?visibility=public", "",
			sign(key, "GET", ofGroups, "", soon), "?visibility is not signed", 401},
		{"another query", "GET", ofGroups + "?visibility=private", "", visible, "altered", 401},
		{"no query", "GET", ofGroups, "", visible, "has not", 401},
		{"a query twice", "GET", ofGroups + "?visibility=public&visibility=public", "", visible,
			"2 times", 400},
		{"a query nobody knows", "GET", ofGroups + "?x=1", "",
			sign(key, "GET", ofGroups+"?x=1", "", soon), "not known here", 400},
		{"a visibility nobody knows", "GET", ofGroups + "?visibility=x", "",
			sign(key, "GET", ofGroups+"?visibility=x", "", soon), "private or public", 400},
	} {
		got := c.raw(w.method, w.target, w.body, w.header)
		assert.Equal(t, w.status, got.status, "%s: %s", w.what, got.text)
		assert.Contains(t, got.message(), w.say, w.what)
		if got.status == 401 {
			assert.Contains(t, got.header.Get("WWW-Authenticate"), "EXO2-HMAC-SHA256")
		}
	}
	assert.NotContains(t, c.exported(), "web\"\n")
	got := c.raw("POST", ofGroups, body, right)
	require.Equal(t, 200, got.status, got.text)
	assert.Contains(t, c.exported(), `"acme/web"`)
	assert.Equal(t, 200, c.raw("GET", ofGroups+"?visibility=public", "", visible).status)
	assert.Equal(t, 413, c.send(key, "POST", ofGroups, strings.Repeat(" ", 70_000)).status)
}

// TestReplays: what was sent once is not made again, neither by the server that made it, nor by
// another one.
func TestReplays(t *testing.T) {
	c := newCloud(t)
	key := c.key("--role", "editor", "--project", "acme")
	ego, ctx := c.client(key), t.Context()
	web, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web")})
	require.NoError(t, err)
	app := c.instances(ego)["app-1"]
	first := c.url
	attach, body := ofGroups+"/"+*web.ID+":attach", `{"instance":{"id":"`+*app.ID+`"}}`
	seen := sign(key, "PUT", attach, body, c.unique())
	once := c.raw("PUT", attach, body, seen)
	require.Equal(t, 200, once.status, once.text)
	again := c.raw("PUT", attach, body, seen)
	assert.Equal(t, once.text, again.text, "the answer was lost, and the client asks again")

	idle := sign(key, "PUT", attach, body, c.unique())
	require.Equal(t, 200, c.raw("PUT", attach, body, idle).status, "it is so already")
	refused := sign(key, "POST", ofGroups, `{"name":"web"}`, c.unique())
	require.Equal(t, 409, c.raw("POST", ofGroups, `{"name":"web"}`, refused).status)

	require.NoError(t, ego.DetachInstanceFromSecurityGroup(ctx, zone, app, web))
	for _, header := range []string{seen, idle} {
		again = c.raw("PUT", attach, body, header)
		assert.Equal(t, 409, again.status, again.text)
		assert.Contains(t, again.message(), "sign it anew")
	}
	c.serve() // another server, which has not seen it
	c.eventually(func() bool { return len(c.instances(c.client(key))) == 2 })
	again = c.raw("PUT", attach, body, seen)
	assert.Equal(t, 409, again.status, again.text)
	assert.Nil(t, c.instances(c.client(key))["app-1"].SecurityGroupIDs)

	c.url = first
	require.NoError(t, ego.DeleteSecurityGroup(ctx, zone, web))
	again = c.raw("POST", ofGroups, `{"name":"web"}`, refused)
	assert.Equal(t, 409, again.status)
	c.sees(ego, "lists")
	ask := sign(key, "GET", ofGroups, "", c.unique())
	for range 3 {
		assert.Equal(t, 200, c.raw("GET", ofGroups, "", ask).status, "reading may be repeated")
	}
}

// TestReplaysAtOnce sends one request many times at once: it is made once.
func TestReplaysAtOnce(t *testing.T) {
	c := newCloud(t)
	key := c.key("--role", "editor", "--project", "acme")
	group, err := c.client(key).CreateSecurityGroup(t.Context(), zone,
		&v2.SecurityGroup{Name: to("web")})
	require.NoError(t, err)
	target := ofGroups + "/" + *group.ID + "/rules"
	const body = `{"flow-direction":"ingress","protocol":"esp","network":"0.0.0.0/0"}`
	header := sign(key, "POST", target, body, c.unique())
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			got := c.raw("POST", target, body, header)
			assert.Equal(t, 200, got.status, got.text)
		})
	}
	all.Wait()
	now, err := c.client(key).GetSecurityGroup(t.Context(), zone, *group.ID)
	require.NoError(t, err)
	assert.Len(t, now.Rules, 1)
}

// TestWhoMay: a viewer reads, an expired or revoked key is nobody's, and a key whose secret was
// sealed for another name, or with another key, is of no use.
func TestWhoMay(t *testing.T) {
	c := newCloud(t)
	viewer := c.key("--role", "viewer", "--project", "acme")
	ego := c.client(viewer)
	c.sees(ego, "lists")
	_, err := ego.CreateSecurityGroup(t.Context(), zone, &v2.SecurityGroup{Name: to("web")})
	assert.ErrorContains(t, err, "needs the role editor")
	lists, err := ego.FindSecurityGroup(t.Context(), zone, "lists")
	require.NoError(t, err)
	for _, try := range [][2]string{{"DELETE", *lists.ID}, {"PUT", *lists.ID + ":attach"},
		{"PUT", *lists.ID + ":add-source"}, {"POST", *lists.ID + "/rules"},
		{"DELETE", *lists.ID + "/rules/" + *lists.Rules[0].ID}} {
		body := ""
		if try[0] != "DELETE" {
			body = "{}"
		}
		assert.Equal(t, 403, c.send(viewer, try[0], ofGroups+"/"+try[1], body).status, try)
	}
	brief := c.key("--role", "viewer", "--expires", "3s")
	c.eventually(func() bool { return c.send(brief, "GET", ofGroups, "").status == 401 })
	c.must("token", "revoke", viewer.Key, "--db", c.endpoint)
	c.eventually(func() bool { return c.send(viewer, "GET", ofGroups, "").status == 401 })
	_, err = ego.ListSecurityGroups(t.Context(), zone)
	require.ErrorIs(t, err, api.ErrInvalidRequest)

	bearer := c.must("token", "create", "--role", "operator", "--db", c.endpoint)
	id := strings.Split(bearer, "_")[1]
	asBearer := pair{Key: id, Secret: strings.TrimSpace(bearer)}
	assert.Equal(t, 401, c.send(asBearer, "GET", ofGroups, "").status)
	key := c.key("--role", "viewer")
	got := c.raw("GET", "/v1/groups", "", "Bearer "+key.Secret)
	assert.Equal(t, 401, got.status, "a key is no token")
	c.write("key", strings.Repeat("0b", 32))
	c.serve() // with another key for the seals
	assert.Equal(t, 401, c.send(key, "GET", ofGroups, "").status)
}

// TestZone is answered without a signature, and leads back to where it was asked.
func TestZone(t *testing.T) {
	c := newCloud(t)
	got := c.raw("GET", "/v2/zone", "", "")
	require.Equal(t, 200, got.status)
	assert.JSONEq(t, `{"zones":[{"name":"lab-1","api-endpoint":"`+c.url+`/v2"}]}`, got.text)
	list, err := c.client(pair{"any", "thing"}).ListZones(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{zone}, list)
	for _, path := range []string{"/v2/ssh-key", "/v2/instance-pool", "/v2", "/v2/",
		"/v2/security-group/x/y/z"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			got := c.raw(method, path, "", "")
			assert.Contains(t, []int{501, 307, 301}, got.status, "%s %s: %s", method, path, got.text)
		}
	}
	c.serve("--public-url", "https://policy.example.net/")
	assert.Contains(t, c.raw("GET", "/v2/zone", "", "").text,
		`"api-endpoint":"https://policy.example.net/v2"`)
}

// TestBadBodies are refused with a word on what would be right, and change nothing.
func TestBadBodies(t *testing.T) {
	c := newCloud(t)
	key := c.key("--role", "editor", "--project", "acme")
	group, err := c.client(key).FindSecurityGroup(t.Context(), zone, "lists")
	require.NoError(t, err)
	before := c.exported()
	refuse := func(body, say string) {
		t.Helper()
		got := c.send(key, "POST", ofGroups+"/"+*group.ID+"/rules", body)
		assert.Contains(t, []int{400, 404}, got.status, "%s: %s", body, got.text)
		assert.Contains(t, got.message(), say, body)
	}
	for body, say := range map[string]string{
		``: "EOF", `{`: "EOF", `[]`: "cannot unmarshal", `{} {}`: "something follows",
		`{"flow-direction":"in","protocol":"tcp"}`: "ingress or egress",
	} {
		refuse(body, say)
	}
	const tcp = `"flow-direction":"ingress","protocol":"tcp","start-port":1,"end-port":2`
	for fields, say := range map[string]string{
		`"network":"::/0","id":"x"`:                                       "leave it out",
		`"source-port":1,"network":"0.0.0.0/0"`:                           `unknown field "source-port"`,
		`"network":"0.0.0.0/0","security-group":{"id":"x"}`:               "one of them",
		`"security-group":{"name":"lists"}`:                               "named by its id",
		`"security-group":{"id":"x"}`:                                     `no security group "x"`,
		`"security-group":{"name":"offces","visibility":"public"}`:        `did you mean`,
		`"security-group":{"name":"globex/secret","visibility":"public"}`: "no public group",
		`"network":"192.0.2.1/24"`:                                        "write 192.0.2.0/24",
		`"network":"2001:DB8::/32"`:                                       "write 2001:db8::/32",
		`"network":"192.0.2.1"`:                                           "must be a network",
	} {
		refuse(`{`+tcp+`,`+fields+`}`, say)
	}
	refuse(`{`+tcp+`}`, "a rule needs a peer")
	refuse(`{`+tcp+`,"network":"::/0","description":"`+strings.Repeat("x", 256)+`"}`, "255")
	for fields, say := range map[string]string{
		`"sctp","network":"::/0"`:                                  "must be one of",
		`"any","network":"::/0"`:                                   "must be one of",
		`"tcp","network":"::/0"`:                                   "needs ports",
		`"tcp","network":"::/0","start-port":1`:                    "belong together",
		`"tcp","network":"::/0","start-port":0,"end-port":65536`:   "1 to 65535",
		`"esp","network":"::/0","start-port":1,"end-port":2`:       "no ports",
		`"icmp","network":"0.0.0.0/0","icmp":{"type":-1,"code":0}`: "only with a type",
		`"icmp","network":"0.0.0.0/0","icmp":{"type":256}`:         "no type or code",
		`"icmp","network":"::/0","icmp":{"type":8}`:                "icmpv6",
	} {
		refuse(`{"flow-direction":"ingress","protocol":`+fields+`}`, say)
	}
	for _, body := range []string{``, `{}`, `{"instance":{}}`, `{"instance":"x"}`,
		`{"instance":null}`} {
		assert.Equal(t, 400, c.send(key, "PUT", ofGroups+"/"+*group.ID+":attach", body).status, body)
	}
	assert.Equal(t, 501, c.send(key, "PUT", ofGroups+"/"+*group.ID+":explode", `{}`).status)
	assert.Equal(t, 400, c.send(key, "DELETE", ofGroups+"/"+*group.ID, `{}`).status)
	assert.Equal(t, 404, c.send(key, "GET", "/v2/operation/"+*group.ID, "").status)
	assert.Equal(t, before, c.exported())
}

// TestKeysAreMadeOnce by a command that needs the file, and it alone.
func TestKeysAreMadeOnce(t *testing.T) {
	c := newCloud(t)
	out := c.must("token", "create", "--exoscale", "--role", "viewer", "--db", c.endpoint,
		"--secrets-key", filepath.Join(c.dir, "key"))
	assert.Regexp(t, `^EXOSCALE_API_KEY=EXO[0-9a-f]{24}\n`+
		`EXOSCALE_API_SECRET=[A-Za-z0-9_-]{43}\n$`, out)
	secret := strings.TrimSpace(out[strings.LastIndex(out, "=")+1:])
	dump, err := exec.Command("ovsdb-client", "dump", c.endpoint, "Portcullis", "Token").Output()
	require.NoError(t, err)
	assert.Contains(t, string(dump), "exoscale")
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	require.NoError(t, err)
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString(raw)} {
		assert.NotContains(t, string(dump), form)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", c.dir)
	_, err = c.call("token", "create", "--exoscale", "--role", "viewer", "--db", c.endpoint)
	require.ErrorContains(t, err, "portcullis-secrets-key: no such file")
	c.write("portcullis-secrets-key", strings.Repeat("0a", 32))
	c.must("token", "create", "--exoscale", "--role", "viewer", "--db", c.endpoint)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, bad := range []struct {
		args []string
		say  string
	}{
		{nil, "--secrets-key FILE"},
		{[]string{"--secrets-key", filepath.Join(c.dir, "none")}, "no such file"},
		{[]string{"--secrets-key", "/etc/hostname"}, "chmod 600"},
		{[]string{"--secrets-key", filepath.Join(c.dir, "policy.yaml")}, "64 hexadecimal digits"},
		{[]string{"--secrets-key", filepath.Join(c.dir, "key"), "--project", "none"}, "no such project"},
	} {
		_, err := c.call(append([]string{"token", "create", "--exoscale", "--role", "viewer", "--db",
			c.endpoint}, bad.args...)...)
		require.ErrorContains(t, err, bad.say)
		if bad.say == "no such project" {
			continue
		}
		_, err = c.call(append([]string{"serve", "--db", c.endpoint, "--listen", "127.0.0.1:0", "--socket",
			"", "--exoscale-zone", zone}, bad.args...)...)
		require.ErrorContains(t, err, bad.say)
	}
}
