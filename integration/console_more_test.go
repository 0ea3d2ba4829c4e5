//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// Parts of the story of the console: what goes wrong, what is denied and admitted, who may, and
// each page as it is.

// addRule goes to a group and adds a rule to the draft.
func (b *tab) addRule(group, words string) {
	b.t.Helper()
	b.visit("/groups/" + group)
	b.await("document.querySelector('h1')?.textContent === "+asScript(group), "the page of "+group)
	b.rule(words)
}

// rulesOf are the rules that the server has of a group.
func (c *console) rulesOf(group string) string {
	return c.must("GET", "/v1/groups/"+group, "")
}

// fails has two edit the same at once, the network be lost and the server start anew in the middle.
func (c *console) fails(t *testing.T) {
	alice, bob := c.newTab(t), c.newTab(t)
	alice.signIn(c.newToken("--role", "operator"), "/")
	bob.signIn(c.newToken("--role", "operator"), "/")
	alice.addRule("frontend", "ingress tcp 8001 from 0.0.0.0/0")
	bob.addRule("frontend", "ingress tcp 8002 from 0.0.0.0/0")
	alice.apply("by alice")
	bob.sees("is on trial", "Confirm")
	alice.click("button", "Confirm")
	alice.losesSight("Confirm")
	bob.losesSight("Confirm") // long before its time is over
	bob.click("link", "Review and apply")
	bob.sees("Changed by someone else", "Plan")
	bob.look("overtaken")
	bob.click("button", "Dismiss")

	c.gate.Shut()
	bob.sees("The server is not responding")
	bob.look("away")
	c.gate.Open()
	bob.losesSight("The server is not responding")

	stopped := c.stopServer
	stopped()
	bob.sees("The server is not responding")
	c.stopServer = c.serve()
	bob.losesSight("The server is not responding")
	bob.applies("by bob")
	bob.sees("Generation 6 is on trial")
	refused, err := c.curl("POST", "/v1/changes/5/confirm", "")
	require.Error(t, err)
	require.Contains(t, refused, "generation 6 is on trial, not 5", "a page that is behind keeps alice's")
	bob.click("button", "Confirm")
	bob.losesSight("Confirm")
	both := c.rulesOf("frontend")
	assert.Contains(t, both, "8001", "what alice did stays")
	assert.Contains(t, both, "8002")

	// a change that is not confirmed is taken back; here by hand, as a minute is long
	alice.addRule("frontend", "ingress tcp 8003 from 0.0.0.0/0")
	alice.apply("a mistake")
	assert.Contains(t, c.rulesOf("frontend"), "8003")
	alice.click("button", "Roll back now")
	alice.losesSight("Roll back now")
	assert.NotContains(t, c.rulesOf("frontend"), "8003")
	c.endsAlone(alice)
	alice.requireClean()
	bob.requireClean()
	c.outlivesItsSession(t)
}

// endsAlone has nobody confirm a trial: whoever looks sees it end, and what it was.
func (c *console) endsAlone(b *tab) {
	c.must("POST", "/v1/changes", `{"put":{"groups":[{"name":"fleeting"}]},"confirm":"5s"}`)
	b.sees("is on trial", "Roll back now")
	assert.Contains(b.t, c.must("GET", "/v1/groups", ""), "fleeting")
	b.losesSight("Roll back now")
	assert.NotContains(b.t, c.must("GET", "/v1/groups", ""), "fleeting", "it is as it was")
}

// outlivesItsSession has a session end while a draft is open: the draft is there for who signs in
// again, and nothing was changed meanwhile.
func (c *console) outlivesItsSession(t *testing.T) {
	b := c.newTab(t)
	token := c.newToken("--role", "operator")
	b.signIn(token, "/")
	b.addRule("frontend", "ingress tcp 8004 from 0.0.0.0/0")
	b.click("link", "Review and apply")
	b.sees("Plan", "8004")
	c.must("DELETE", "/v1/tokens/"+strings.Split(token, "_")[1], "")
	b.sees("Your session has ended")
	assert.NotContains(t, c.rulesOf("frontend"), "8004")
	b.fill("Token", c.newToken("--role", "operator"))
	b.click("button", "Sign in")
	b.losesSight("Your session has ended")
	b.sees("8004")
	b.applyAndKeep("by somebody who came back")
	assert.Contains(t, c.rulesOf("frontend"), "8004")
	b.requireClean()
}

// admits sees a packet that is denied, asks why, and admits it.
func (c *console) admits(t *testing.T) {
	b := c.newTab(t)
	b.signIn(c.token, "/denied")
	b.sees("live")
	b.look("denied-none")
	passes, err := c.Admits("web-1", "db-1", testnet.TCP(5432), testnet.IPv4)
	require.NoError(t, err)
	require.False(t, passes)
	const what = "tcp/5432 from web-1"
	b.await("people.find('button', 'Admit this: "+what+"')", "the denied packet")
	b.look("denied")
	b.click("button", "Admit this: "+what)
	b.sees("Admit this", "in group backend")
	b.look("admit")
	b.click("button", "Add to draft")
	b.sees("Plan")
	b.applyAndKeep("databases of the second kind")
	passes, err = c.Admits("web-1", "db-1", testnet.TCP(5432), testnet.IPv4)
	require.NoError(t, err)
	assert.True(t, passes, "what was admitted passes")
	passes, err = c.Admits("office", "db-1", testnet.TCP(5432), testnet.IPv4)
	require.NoError(t, err)
	assert.False(t, passes, "and nothing else")
	b.requireClean()

	b.visit("/history")
	b.sees("databases of the second kind")
	b.look("history")
	b.do(chromedp.Click(chromedp.CSS("tbody a.name")))
	b.sees("Access changes")
	b.look("change")
	b.click("button", "Roll back to generation")
	b.sees("lost:")
	b.look("roll-back")
	b.click("button", "Roll back")
	b.await("document.querySelector('dialog[open]') === null", "the dialog is over")
	b.sees("is in force on 3 of 3 hosts")
	passes, err = c.Admits("web-1", "db-1", testnet.TCP(5432), testnet.IPv4)
	require.NoError(t, err)
	assert.False(t, passes, "it is as it was")
	b.requireClean()
}

// applyAndKeep applies the draft whose page is open, and confirms it.
func (b *tab) applyAndKeep(message string) {
	b.t.Helper()
	b.applies(message)
	b.click("button", "Confirm")
	b.losesSight("Confirm")
}

// asks asks why, by an address that is pasted from a ticket.
func (c *console) asks(t *testing.T) {
	b := c.newTab(t)
	b.signIn(c.newToken("--role", "viewer"), "/why?from=web-1&to=db-1&service=tcp%2F3306")
	b.sees("ingress tcp 3306 from group frontend")
	b.look("why")
	b.visit("/why?from=web-1&to=db-1&service=tcp%2F9999")
	b.sees("tcp/9999: denied", "no rule admits it")
	b.look("why-not")
}

// restricts has a viewer and a tenant look: neither is offered what it may not, and the tenant sees
// nothing of others.
func (c *console) restricts(t *testing.T) {
	viewer := c.newTab(t)
	viewer.signIn(c.newToken("--role", "viewer"), "/groups/backend")
	viewer.sees("backend", "Members")
	for _, name := range []string{"Add a rule", "Remove", "Edit", "Restore"} {
		assert.False(t, eval[bool](viewer.shown, "people.find('button', "+asScript(name)+") !== undefined"), name)
	}
	viewer.look("group-viewer")

	c.must("PUT", "/v1/projects/acme", `{}`)
	tenant := c.newTab(t)
	tenant.signIn(c.newToken("--role", "editor", "--project", "acme"), "/")
	tenant.sees("project acme", "No groups yet")
	for _, name := range []string{"Hosts", "History", "Access"} {
		assert.False(t, eval[bool](tenant.shown, "people.find('link', "+asScript(name)+") !== undefined"), name)
	}
	for _, path := range []string{"/groups/backend", "/instances", "/instances/db-1", "/history", "/hosts",
		"/access", "/denied"} {
		tenant.visit(path)
		tenant.await("document.querySelector('main h1, main h2, main strong') !== null", path)
		text := eval[string](tenant.shown, "document.body.innerText")
		assert.NotContains(t, strings.ReplaceAll(text, "db-1", ""), "203.0.113.", path)
		assert.NotContains(t, text, "frontend", path)
		assert.NotContains(t, text, "hv1", path)
	}
	tenant.visit("/")
	tenant.sees("No groups yet")
	tenant.look("tenant")
}

// staysText has names and descriptions be markup: nothing of it becomes more than text.
func (c *console) staysText(t *testing.T) {
	const evil = `<img src=x onerror="document.title='broken'">`
	c.must("PUT", "/v1/groups/evil", fmt.Sprintf(`{"description":%q,"rules":[{"direction":"ingress",`+
		`"protocol":"tcp","ports":1,"cidr":"192.0.2.0/24","description":%q}]}`, evil, evil))
	c.must("PUT", "/v1/groups/"+`%3Cb%3Ebold%3C%2Fb%3E`, `{"rules":[{"direction":"ingress",`+
		`"protocol":"tcp","ports":2,"group":"evil"}]}`)
	b := c.newTab(t)
	b.signIn(c.token, "/groups/evil")
	b.sees(evil)
	for path, text := range map[string]string{"/": "<b>bold</b>", "/groups/evil": evil,
		"/groups/" + `%3Cb%3Ebold%3C%2Fb%3E`: "<b>bold</b>", "/history": "<b>bold</b>",
		"/picture": "<b>bold</b>", "/matrix": "<b>bold</b>"} {
		b.visit(path)
		b.await("document.body.textContent.includes("+asScript(text)+")", path+" has "+text)
		assert.Zero(t, eval[int](b.shown, "document.querySelectorAll('main img, main b').length"), path)
		assert.NotEqual(t, "broken", eval[string](b.shown, "document.title"), path)
	}
	b.requireClean()
	for _, name := range []string{`%3Cb%3Ebold%3C%2Fb%3E`, "evil"} {
		c.must("DELETE", "/v1/groups/"+name, "", "-H", "If-Match: *")
	}
}

// wholePicture: nothing of the drawing is beyond its edge, and no letter is smaller than 11 pixels.
const wholePicture = `(() => {
	const room = document.querySelector(".canvas")?.getBoundingClientRect();
	const texts = [...document.querySelectorAll("svg.picture text")];
	return room && texts.length > 0 && texts.every((t) => {
		const r = t.getBoundingClientRect();
		return t.getCTM().a * parseFloat(getComputedStyle(t).fontSize) >= 11 &&
			r.left >= room.left && r.right <= room.right;
	});
})()`

// looks opens each page and state that no other part has come to.
func (c *console) looks(t *testing.T) {
	stood := c.must("GET", "/v1/hosts?instance=db-1", "")
	require.Equal(t, 1, strings.Count(stood, `"state":"applied"`), "one port of one instance: %s", stood)
	require.NotContains(t, c.must("GET", "/v1/hosts?instance=nobody", ""), `"state"`)
	b := c.newTab(t)
	b.signIn(c.token, "/")
	for _, p := range []struct{ name, path, text string }{
		{"groups", "/", "frontend"},
		{"group", "/groups/backend", "db-1"},
		{"group-none", "/groups/nobody", "There is no group nobody"},
		{"instances", "/instances", "web-1"},
		{"instance", "/instances/db-1", "in force on hv"},
		{"hosts", "/hosts", "is in force on 3 of 3 hosts"},
		{"access", "/access", "operator"},
		{"draft-none", "/draft", "No changes"},
		{"nothing", "/nothing", "Page not found"},
		{"picture", "/picture", "frontend"},
		{"matrix", "/matrix", "frontend"},
		{"unused", "/unused", "backend"},
	} {
		began := time.Now()
		b.visit(p.path)
		b.sees(p.text)
		t.Logf("%s stands after %s", p.path, time.Since(began).Round(time.Millisecond))
		b.look(p.name)
	}
	b.visit("/picture")
	b.await(wholePicture, "the picture is whole on a laptop, and can be read")
	b.visit("/hosts")
	require.NoError(t, c.Machine("hv3").StopDaemon())
	b.visit("/instances/db-1")
	b.sees("hv3")
	b.look("instance-host-silent")
	require.NoError(t, c.Machine("hv3").StartDaemon())
}

// walks goes through the console by the keyboard alone.
func (c *console) walks(t *testing.T) {
	b := c.newTab(t)
	b.signIn(c.token, "/")
	b.sees("frontend")
	eval[bool](b.shown, "document.activeElement.blur() === undefined")
	b.key("/")
	b.await("document.activeElement.id === 'search'", "the search has the keys")
	b.key("backe")
	b.await("document.querySelector('[role=option]')?.textContent.includes('backend')", "it is found")
	b.look("search")
	b.enter()
	b.await("document.querySelector('h1')?.textContent === 'backend'", "the group")
	b.key("/")
	b.await("document.activeElement.id === 'search'", "the search has the keys")
	b.key("frontend")
	b.enter() // before anything is found
	b.await("document.querySelector('h1')?.textContent === 'frontend'", "what was typed, not what was found before")
	for _, way := range [][2]string{{"gi", "/instances"}, {"gh", "/hosts"}, {"gt", "/history"},
		{"gd", "/denied"}, {"gg", "/"}} {
		keys, path := way[0], way[1]
		eval[bool](b.shown, "document.activeElement.blur() === undefined")
		b.key(keys)
		b.await("location.pathname === "+asScript(path), keys+" goes to "+path)
	}
	b.await("people.find('button', 'New group')", "the groups")
	reached := map[string]bool{}
	eval[bool](b.shown, "document.activeElement.blur() === undefined")
	for range 60 {
		b.key(kb.Tab)
		e := eval[[]string](b.shown, `(() => { const e = document.activeElement, s = getComputedStyle(e);
			return e === document.body ? ["", "", ""] : [people.name(e), s.outlineStyle, s.boxShadow]; })()`)
		reached[e[0]] = true
		assert.False(t, e[1] == "none" && e[2] == "none", "nobody sees that %q has the keys", e[0])
	}
	for _, name := range []string{"Skip to content", "Search", "New group", "frontend", "Groups"} {
		assert.True(t, reached[name], "Tab does not come to %s: %v", name, reached)
	}
	eval[bool](b.shown, "document.activeElement.blur() === undefined")
	b.visit("/groups/management")
	const rule = "ingress tcp 22 from 198.51.100.0/24"
	b.await("people.find('button', 'Remove "+rule+"')", "its rule")
	eval[bool](b.shown, "people.find('button', 'Remove "+rule+"').focus() === undefined")
	b.enter()
	b.await("people.name(document.activeElement) === 'Restore "+rule+"'", "the keys stay where they were")
	b.enter()
	b.await("people.name(document.activeElement) === 'Remove "+rule+"'", "and again")
	eval[bool](b.shown, "document.activeElement.blur() === undefined")
	b.key("?")
	b.sees("Single-key shortcuts")
	b.look("keys")
	b.key(kb.Escape)
	b.losesSight("Single-key shortcuts")
	b.requireClean()
}
