package apiserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/flows/policy"
)

// FuzzBodies has every reader of bodies read anything. What is read is what a policy holds: written
// and read again it is the same; what is not is refused in words.
func FuzzBodies(f *testing.F) {
	for _, text := range []string{`{}`, `{"rules":[` + webRule + `]}`, webRule, `{"name":"x"}`, `[]`, `{"a":`,
		`{"description":null}`, `{"put":{"groups":[{"name":"a"}]},"remove":{"groups":["b"]}}`,
		instanceBody("02:00:00:00:00:11", "203.0.113.11", "web"), "\x00", `{"rules":[{}]}`,
		"{\"rules\": [\n# a comment\n]}", "a: b", `{"__proto__":1}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		req := &http.Request{URL: &url.URL{}, Header: http.Header{}}
		req.SetPathValue("name", "web")
		for _, project := range []string{"", "acme"} {
			r := &request{Request: req, project: project, body: []byte(text)}
			if g, err := r.readGroup(r.body); err == nil {
				again, err := r.readGroup(marshal(shortGroup(project, g)))
				if err != nil || string(marshal(again)) != string(marshal(g)) {
					t.Fatalf("%q is read as %s, and then as %s: %v", text, marshal(g), marshal(again), err)
				}
			} else {
				requireReason(t, err)
			}
			if i, err := r.readInstance(r.body); err == nil {
				if again, err := r.readInstance(marshal(shortInstance(project, i))); err != nil ||
					string(marshal(again)) != string(marshal(i)) {
					t.Fatalf("%q is read as %s, and then as %s: %v", text, marshal(i), marshal(again), err)
				}
			} else {
				requireReason(t, err)
			}
			if _, err := r.readRule(); err != nil {
				requireReason(t, err)
			}
			if _, _, err := r.readSeveral(); err != nil {
				requireReason(t, err)
			}
			if _, err := merged(&policy.Group{Name: "web"}, r.body); err != nil {
				requireReason(t, err)
			}
		}
	})
}

// FuzzPacket has the question about one packet be anything: it is one of one family that can be
// asked about, or it is refused in words.
func FuzzPacket(f *testing.F) {
	f.Add("192.0.2.1", "192.0.2.2", "tcp/80")
	f.Add("2001:db8::1", "2001:db8::2", "icmpv6/128/0")
	f.Add("::ffff:192.0.2.1", "192.0.2.2", "esp")
	f.Add("fe80::1%eth0", "web-1", "tcp/80,443")
	f.Add("", "0.0.0.0", "any")
	f.Fuzz(func(t *testing.T, src, dst, service string) {
		r := &request{query: url.Values{"src": {src}, "dst": {dst}, "service": {service}}}
		found, err := r.packet()
		switch {
		case err != nil:
			requireReason(t, err)
		case found.Src.Is4() != found.Dst.Is4() || found.Src.Zone()+found.Dst.Zone() != "":
			t.Fatalf("%s → %s, %s is read as %+v", src, dst, service, found)
		}
	})
}

// requireReason sees that a refusal is one that the client is told, in words.
func requireReason(t *testing.T, err error) {
	t.Helper()
	p, isKnown := problemOf(err)
	if !isKnown || p.Status >= http.StatusInternalServerError || strings.TrimSpace(p.Detail) == "" {
		t.Fatalf("%v is told as %+v", err, p)
	}
}
