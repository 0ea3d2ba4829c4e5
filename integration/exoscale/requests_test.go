package exoscale

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// walk answers the requests of a file, and notes the IDs that the answers have.
type walk struct {
	*cloud
	key pair
	ids map[string]string // by "$NAME"
}

// list is what the two lists answer, as far as later requests name it.
type list struct {
	Groups []struct {
		ID, Name string
		Rules    []struct{ ID string }
	} `json:"security-groups"`
	Instances []struct {
		ID, Name string
		Type     struct{ ID string } `json:"instance-type"`
		Template struct{ ID string }
	}
}

// note remembers the IDs of an answer.
func (w *walk) note(text string) {
	var l list
	if json.Unmarshal([]byte(text), &l) != nil {
		return
	}
	for _, g := range l.Groups {
		if g.Name == "" {
			continue // those of an instance
		}
		w.ids["$"+g.Name] = g.ID
		if g.Name == "frontend" && len(g.Rules) > 0 {
			w.ids["$rule"] = g.Rules[len(g.Rules)-1].ID
		}
	}
	for _, i := range l.Instances {
		w.ids["$"+i.Name], w.ids["$type"], w.ids["$template"] = i.ID, i.Type.ID, i.Template.ID
	}
}

// filled puts IDs in their places.
func (w *walk) filled(text string) string {
	for name, id := range w.ids {
		text = strings.ReplaceAll(text, name, id)
	}
	require.NotContains(w.t, text, "$")
	return text
}

// step sends one request, and what changes something says what it was on.
func (w *walk) step(line string) {
	w.t.Helper()
	request, body, _ := strings.Cut(line, " | ")
	request, wanted, isRefused := strings.Cut(request, " ! ")
	status := 200
	if isRefused {
		var err error
		status, err = strconv.Atoi(strings.TrimSpace(wanted))
		require.NoError(w.t, err)
	}
	method, path, _ := strings.Cut(w.filled(request), " ")
	got := w.send(w.key, method, "/v2"+path, w.filled(body))
	require.Equal(w.t, status, got.status, "%s: %s", line, got.text)
	if w.note(got.text); method == "GET" || isRefused {
		return
	}
	var did struct {
		ID, State string
		Reference struct{ ID string }
	}
	got.into(w.cloud, &did)
	assert.Equal(w.t, "success", did.State)
	assert.Equal(w.t, got.text, w.send(w.key, "GET", "/v2/operation/"+did.ID, "").text)
	if _, group, _ := strings.Cut(path, "/security-group/"); group != "" {
		assert.Equal(w.t, group[:len(did.Reference.ID)], did.Reference.ID)
	}
}

// TestRequestsOfExo answers what exo was seen to send, and leaves the policy as it was.
func TestRequestsOfExo(t *testing.T) {
	c := newCloud(t)
	before := c.exported()
	w := &walk{c, c.key("--role", "editor", "--project", "acme"), map[string]string{}}
	text, err := os.ReadFile("testdata/requests.txt")
	require.NoError(t, err)
	steps := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '=' {
			w.step(line)
			steps++
		}
	}
	assert.Greater(t, steps, 30)
	assert.Equal(t, before, c.exported())
	assert.Contains(t, c.must("history", "--db", c.endpoint), "key "+w.key.Key)
}
