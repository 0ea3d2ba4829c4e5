package access

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMay holds every role, scope and project against what is written down here.
func TestMay(t *testing.T) {
	cases := 0
	for _, role := range []Role{Nobody, Viewer, Editor, Operator} {
		for _, needed := range []Role{Nobody, Viewer, Editor, Operator} {
			for _, own := range []string{"", "acme"} {
				for _, asked := range []string{"", "acme", "other", "acme2", "Acme"} {
					p := Principal{Role: role, Project: own}
					enough := needed != Nobody && role >= needed
					assert.Equal(t, enough && (own == "" || own == asked),
						p.May(needed, OfProject, asked), "%s of %q: %s in %q", role, own, needed, asked)
					assert.Equal(t, enough && own == "", p.May(needed, OfAll, asked))
					assert.Equal(t, enough, p.May(needed, OfSelf, asked))
					assert.False(t, p.May(needed, 0, asked), "a scope that nobody gave")
					cases += 4
				}
			}
		}
	}
	t.Logf("%d cases", cases)
	assert.False(t, Principal{}.May(Viewer, OfProject, ""))
}

func TestRoleWords(t *testing.T) {
	for _, r := range Roles() {
		var got Role
		require.NoError(t, got.UnmarshalText([]byte(r.String())))
		assert.Equal(t, r, got)
	}
	for _, word := range []string{"", "nobody", "root", "admin"} {
		var r Role
		assert.ErrorContains(t, r.UnmarshalText([]byte(word)), "viewer, editor or operator")
		assert.Equal(t, Nobody, r)
	}
}

func TestTokens(t *testing.T) {
	a, b := Draw(), Draw()
	assert.NotEqual(t, a.Text, b.Text)
	read, ok := ParseBearer(a.Text)
	require.True(t, ok)
	assert.Equal(t, a.ID, read.ID)
	assert.True(t, read.Matches(a.Digest))
	assert.False(t, read.Matches(b.Digest), "another's")
	assert.False(t, read.Matches(""), "none is kept")
	assert.NotContains(t, a.Digest, strings.Split(a.Text, "_")[2])
	bent := []string{"", "pc_", "pc__", a.Text + "a", a.Text[1:], strings.ToUpper(a.Text),
		a.Text[:len(a.Text)-1], strings.Replace(a.Text, "_", "-", 1), "pc_" + a.ID,
		"pc_" + a.ID + "_", a.Text + "_x"}
	for _, text := range bent {
		_, ok := ParseBearer(text)
		assert.False(t, ok, "%q", text)
	}
}

func TestSeal(t *testing.T) {
	one, err := ParseSealer(strings.Repeat("1c", KeySize) + "\n")
	require.NoError(t, err)
	other, err := ParseSealer(strings.Repeat("1d", KeySize) + "\n")
	require.NoError(t, err)
	sealed := one.Seal("EXOa", "secret")
	assert.NotContains(t, sealed, "secret")
	assert.NotEqual(t, sealed, one.Seal("EXOa", "secret"), "the same secret looks the same")
	got, err := one.Open("EXOa", sealed)
	require.NoError(t, err)
	assert.Equal(t, "secret", got)
	for name, wrong := range map[string]func() (string, error){
		"another key":  func() (string, error) { return other.Open("EXOa", sealed) },
		"another name": func() (string, error) { return one.Open("EXOb", sealed) },
		"cut":          func() (string, error) { return one.Open("EXOa", sealed[:12]) },
		"no base64":    func() (string, error) { return one.Open("EXOa", "%") },
	} {
		secret, err := wrong()
		assert.Error(t, err, name)
		assert.Empty(t, secret, name)
	}
	for _, text := range []string{"", "00", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		_, err := ParseSealer(text)
		assert.ErrorContains(t, err, "64 hexadecimal digits")
	}
}
