//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/example"
	"github.com/portcullis/portcullis/integration/testnet"
)

// What people do with the console, on one fleet: the groups of the example are made by clicking,
// and everything after that is done to them.

// bare is the policy of the example's instances, on hosts, in no group.
func bare(t *testing.T) string {
	t.Helper()
	spec, err := example.Spec("../"+example.PolicyFile, daemon(t))
	require.NoError(t, err)
	text := example.OnHosts(spec.Policy, "hv1", "hv2", "hv3")
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(text)}})
	require.NoError(t, err)
	out := &policy.Policy{}
	for _, i := range p.Instances {
		alone := *i
		alone.Groups = nil
		out.Instances = append(out.Instances, &alone)
	}
	return string(policyfile.Marshal(out))
}

// countdowns gathers each number of seconds that the page tells.
const countdowns = `window.countdowns = [], new MutationObserver(() => {
	const told = document.querySelector(".count");
	if (told) window.countdowns.push(parseInt(told.textContent));
}).observe(document.body, {subtree: true, childList: true, characterData: true}) === undefined`

// TestBrowser_Console is one story: each part goes on from what the one before has left.
func TestBrowser_Console(t *testing.T) {
	t.Parallel()
	c := newConsole(t, bare(t))
	for _, part := range []struct {
		name string
		run  func(*console, *testing.T)
	}{
		{"SignIn", (*console).signsIn},
		{"Build", (*console).builds},
		{"Look", (*console).looks},
		{"Keys", (*console).walks},
		{"Deny", (*console).admits},
		{"Fail", (*console).fails},
		{"Who", (*console).restricts},
		{"Text", (*console).staysText},
		{"Why", (*console).asks},
		{"Stranger", (*console).keepsOff},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(c, t) })
	}
}

const (
	// firstPaint and wholeBundle are the budgets, in bytes as they are sent.
	firstPaint  = 60_000
	wholeBundle = 150_000
)

// signsIn comes as a stranger, with what is no token, with a token, and leaves; and is shown out
// when the token is revoked.
func (c *console) signsIn(t *testing.T) {
	b := c.newTab(t)
	b.visit("/instances")
	b.sees("Portcullis", "Token")
	b.look("sign-in")
	b.mu.Lock()
	assert.Less(t, b.bytes, float64(firstPaint), "bytes until somebody can sign in")
	t.Logf("%.0f bytes until somebody can sign in, %d in all", b.bytes, bundleSizes(t))
	b.mu.Unlock()
	assert.Less(t, bundleSizes(t), int64(wholeBundle))
	assert.Len(t, b.takeRefused(), 1, "who are you?")

	b.click("button", "Sign in")
	b.sees("Enter a token")
	wrong := c.token[:len(c.token)-1] + "a"
	if wrong == c.token {
		wrong = c.token[:len(c.token)-1] + "q"
	}
	b.fill("Token", wrong)
	b.click("button", "Sign in")
	b.sees("unknown, expired or revoked")
	b.look("sign-in-refused")
	b.fill("Token", "токен <img src=x onerror=alert(1)>")
	b.enter()
	b.sees("That is not a token")
	b.takeRefused()

	token := c.newToken("--role", "operator", "--description", "<b>bold</b>")
	b.fill("Token", token)
	b.enter()
	b.sees("Instances", "web-1")
	require.Equal(t, "/instances", eval[string](b.shown, "location.pathname"))
	assert.Empty(t, eval[string](b.shown, "document.cookie"), "no script has the session")
	kept := eval[string](b.shown, "JSON.stringify({...localStorage, ...sessionStorage}) + document.documentElement.outerHTML")
	assert.NotContains(t, kept, strings.Split(token, "_")[2], "the page keeps no token")

	other := c.newTab(t)
	other.signIn(token, "/hosts")
	other.click("button", "<b>bold</b>")
	other.click("button", "Sign out")
	other.sees("Token")
	other.await("document.querySelector('nav.ways') === null", "the page is gone")
	other.takeRefused()

	c.must("DELETE", "/v1/tokens/"+strings.Split(token, "_")[1], "")
	b.sees("Your session has ended")
	b.look("session-ended")
	for range 2 {
		b.key(kb.Escape)
		b.await("document.querySelector('dialog:modal')?.textContent.includes('Your session has ended')",
			"there is no way past it")
	}
	b.fill("Token", c.token)
	b.click("button", "Sign in")
	b.losesSight("Your session has ended")
	b.sees("web-1")
	b.requireClean()
}

// rule writes a rule in words, and keeps it in the draft.
func (b *tab) rule(words string) {
	b.t.Helper()
	b.click("button", "Add a rule")
	b.click("button", "Start from a template")
	b.fill("Rule as text", words)
	b.enter()
	b.sees("Rule: " + words)
	b.click("button", "Save to draft")
	b.await("document.querySelector('dialog[open]') === null", "the dialog is over")
	b.await("people.find('button', "+asScript("Edit "+words)+")", words)
}

// group makes a group with rules and members, in the draft.
func (b *tab) group(name string, members []string, rules ...string) {
	b.t.Helper()
	b.click("link", "Groups")
	b.await("location.pathname === '/'", "the groups")
	b.await("people.find('button', 'New group') ?? people.find('button', 'Create the first group')",
		"a way to make a group")
	if eval[bool](b.shown, "people.find('button', 'New group') !== undefined") {
		b.click("button", "New group")
	} else {
		b.click("button", "Create the first group")
	}
	b.fill("Name", name)
	b.click("button", "Continue to rules")
	b.await("document.querySelector('h1')?.textContent === "+asScript(name), "the page of "+name)
	for _, r := range rules {
		b.rule(r)
	}
	for _, m := range members {
		b.fill("Add instances", m)
		b.enter()
		b.sees("added")
		b.await("people.find('button', "+asScript("Restore "+m)+") ?? people.find('button', "+
			asScript("Remove "+m)+")", m+" is in the draft")
	}
}

// apply applies the draft, with a message, and waits until it is in force everywhere.
func (b *tab) apply(message string) {
	b.t.Helper()
	b.click("link", "Review and apply")
	b.applies(message)
}

// applies applies the draft whose page is open; who is told that something else was changed in
// between applies once more.
func (b *tab) applies(message string) {
	b.t.Helper()
	b.sees("Plan")
	b.fill("Message", message)
	const made = `Number(/Generation (\d+) is (?:made|in force)/.exec(document.body.innerText)?.[1] ?? 0)`
	const once = `(document.body.innerText.includes("apply again") && people.find("button", "Apply"))`
	before := eval[int](b.shown, made)
	b.click("button", "Apply")
	b.await(fmt.Sprintf("%s > %d || %s", made, before, once), "an answer")
	if eval[int](b.shown, made) <= before {
		b.click("button", "Apply")
		b.await(fmt.Sprintf("%s > %d", made, before), "a generation")
	}
	b.sees(fmt.Sprintf("Generation %d is in force on 3 of 3 hosts", eval[int](b.shown, made)))
}

// builds makes the three groups of the example by mouse and keyboard, puts the instances into them,
// applies it on trial, confirms, and sees with packets that it is the example.
func (c *console) builds(t *testing.T) {
	b := c.newTab(t)
	b.signIn(c.token, "/")
	b.sees("No groups yet")
	b.look("groups-empty")
	b.group("management", []string{"mgmt-1"}, "ingress tcp 22 from 198.51.100.0/24")
	b.group("frontend", []string{"web-1", "web-2"}, "ingress tcp 80 from 0.0.0.0/0",
		"ingress tcp 80 from ::/0", "ingress tcp 22 from group management")
	b.look("group-new")
	b.group("backend", []string{"db-1", "db-2"}, "ingress tcp 3306 from group frontend",
		"ingress tcp 22 from group management", "ingress tcp 1-65535 from group backend",
		"ingress udp 1-65535 from group backend", "egress tcp 1-65535 to group backend",
		"egress udp 1-65535 to group backend", "egress tcp 80 to 203.0.113.1/32",
		"egress tcp 8080 to 203.0.113.1/32", "egress tcp 53 to 203.0.113.1/32",
		"egress udp 53 to 203.0.113.1/32", "egress tcp 80 to 0.0.0.0/0",
		"egress tcp 443 to 0.0.0.0/0", "egress tcp 80 to ::/0", "egress tcp 443 to ::/0")
	b.do(chromedp.Reload())
	b.sees("backend", "Draft")
	b.click("link", "Review and apply")
	b.sees("Plan", "can no longer")
	b.look("draft")
	b.fill("Message", "the example, by hand")
	eval[bool](b.shown, countdowns)
	b.click("button", "Apply")
	b.sees("is in force on 3 of 3 hosts", "Confirm")
	told := eval[[]int](b.shown, "window.countdowns")
	require.NotEmpty(t, told)
	assert.LessOrEqual(t, slices.Max(told), 60, "nobody is told more time than there is")
	b.look("on-trial")
	b.click("button", "Confirm")
	b.losesSight("Confirm")
	b.requireClean()
	assert.Empty(t, b.takeRefused()[1:], "but who are you?")

	seen, err := example.Seen(c.Lab, testnet.IPv4)
	require.NoError(t, err)
	assert.Equal(t, example.Expected(testnet.IPv4), seen)
}
