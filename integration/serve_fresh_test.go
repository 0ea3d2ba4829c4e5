//go:build integration

package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
)

// What one API server was told is seen at every other, by clients of /v2, which ask whichever
// answers and take what they read for what there is.

// rounds is how often something is written at one server and read at another.
const rounds = 200

// cloudKey signs requests of /v2.
type cloudKey struct{ Key, Secret string }

// send signs a request and sends it; number makes equal ones differ.
func (k cloudKey) send(t *testing.T, f *front, number int, method, path, body string) (int, string) {
	t.Helper()
	expires := time.Now().Add(10*time.Minute - time.Duration(number%500)*time.Second).Unix()
	h := hmac.New(sha256.New, []byte(k.Secret))
	fmt.Fprintf(h, "%s %s\n%s\n\n\n%d", method, path, body, expires)
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.address+path,
		strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", fmt.Sprintf("EXO2-HMAC-SHA256 credential=%s,expires=%d,signature=%s",
		k.Key, expires, base64.StdEncoding.EncodeToString(h.Sum(nil))))
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// TestServe_ReadsWhatOthersWrote writes at one server, reads at the other, and writes there what
// stands on it: of servers that know all members, and of such as know a member each.
func TestServe_ReadsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	lab := newFleet(t, fleetlab.Options{Members: 3})
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("0a", 32)+"\n"), 0o600))
	out, err := exec.Command(daemon(t), "token", "create", "--exoscale", "--role", "editor", "--secrets-key", file,
		"--db", lab.Sockets(), "-o", "json").Output()
	require.NoError(t, err)
	var key cloudKey
	require.NoError(t, json.Unmarshal(out, &key))
	leader, err := lab.Leader()
	require.NoError(t, err)
	var followers []string
	for _, m := range lab.Members {
		if m != leader {
			followers = append(followers, m.Socket())
		}
	}
	flags := []string{"--exoscale-zone", "lab-1", "--secrets-key", file}
	for name, dbs := range map[string][2]string{
		"all members":   {lab.Sockets(), followers[1] + "," + lab.Sockets()},
		"a member each": {followers[0], followers[1]}} {
		a, b := newFront(t, dbs[0], flags...), newFront(t, dbs[1], flags...)
		stale := 0
		var reads []time.Duration
		for n := range rounds {
			code, text := key.send(t, a, 3*n, "POST", "/v2/security-group",
				fmt.Sprintf(`{"name":"%s %d"}`, strings.ReplaceAll(name, " ", "-"), n))
			require.Equal(t, 200, code, text)
			var made struct{ Reference struct{ ID string } }
			require.NoError(t, json.Unmarshal([]byte(text), &made))
			began := time.Now()
			if code, _ := key.send(t, b, 3*n+1, "GET", "/v2/security-group/"+made.Reference.ID, ""); code != 200 {
				stale++
			}
			reads = append(reads, time.Since(began))
			code, text = key.send(t, b, 3*n+2, "POST", "/v2/security-group/"+made.Reference.ID+"/rules",
				`{"flow-direction":"ingress","protocol":"tcp","start-port":80,"end-port":80,"network":"0.0.0.0/0"}`)
			if code != 200 {
				stale++
				t.Log(text)
			}
			a, b = b, a
		}
		assert.Zero(t, stale, name)
		slices.Sort(reads)
		t.Logf("%s: %d rounds, %d stale, a read takes %s, p99 %s", name, rounds, stale,
			reads[rounds/2].Round(10*time.Microsecond), reads[rounds*99/100].Round(10*time.Microsecond))
	}
}
