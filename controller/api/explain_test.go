package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
)

func asked(h http.Handler, path string) *httptest.ResponseRecorder {
	got := httptest.NewRecorder()
	h.ServeHTTP(got, httptest.NewRequest(http.MethodGet, path, nil))
	return got
}

// Questions that take for ever hold up neither the loop, nor the status, nor a plan; two are
// computed at once, and the next has its turn when one is done.
func TestQuestionsHoldUpNobody(t *testing.T) {
	w, client := planned(t)
	began, goOn := make(chan struct{}, 3), make(chan struct{})
	server := w.Api()
	server.Explain = func(explain.Reader, api.Question) ([]byte, bool, error) {
		began <- struct{}{}
		<-goOn
		return []byte(`{}`), true, nil
	}
	handler, done := server.Handler(), make(chan int, 3)
	for range 3 {
		go func() { done <- asked(handler, "/v1/explain?from=a&to=any").Code }()
	}
	<-began
	<-began
	w.Policy.Write(agenttest.File("a: 80 443 8080"))
	status, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err, "a change of the policy is in force meanwhile")
	require.Equal(t, 1, status.Policy.Groups)
	require.Equal(t, http.StatusOK, asked(handler, "/v1/status").Code)
	select {
	case <-began:
		require.Fail(t, "three at once")
	default:
	}
	close(goOn)
	<-began
	for range 3 {
		require.Equal(t, http.StatusOK, <-done)
	}
}

// The answer says of which policy it is: what is in force, or, if it is to be read again before,
// what the files say now.
func TestExplainIsAboutThePolicyInForce(t *testing.T) {
	w, _ := planned(t)
	server := w.Api()
	require.Equal(t, http.StatusNotImplemented, asked(server.Handler(), "/v1/explain").Code)
	server.Explain = func(r explain.Reader, q api.Question) ([]byte, bool, error) {
		if q.From == "" {
			return nil, false, errors.New("who?")
		}
		_, err := r.FindEnd(q.From)
		text, _ := json.Marshal(q)
		return text, err == nil, nil
	}
	handler := server.Handler()
	ask := func(path string) (out api.Explained) {
		got := asked(handler, path)
		require.Equal(t, http.StatusOK, got.Code, got.Body)
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &out))
		require.Equal(t, w.Ctl.Site().Host, out.Site.Host)
		require.Equal(t, "policy.yaml", out.Source)
		return out
	}
	first := ask("/v1/explain?from=i-a&to=x&service=tcp%2F80&via=direct")
	require.True(t, first.Admitted)
	require.Contains(t, string(first.Answer), `"From":"i-a","To":"x","Service":"tcp/80","Via":"direct"`)
	require.Empty(t, first.Text)
	text := ask("/v1/explain?from=i-b&form=text")
	require.False(t, text.Admitted)
	require.Contains(t, text.Text, `"From":"i-b"`)

	w.Policy.Write(agenttest.File("a: 80", "b: 80"))
	require.Equal(t, first.Digest, ask("/v1/explain?from=i-b").Digest, "nobody has read it yet")
	now := ask("/v1/explain?from=i-b&read=true")
	require.True(t, now.Admitted)
	require.NotEqual(t, first.Digest, now.Digest)

	w.Policy.Write("groups: 3\n")
	require.Eventually(t, func() bool {
		return len(ask("/v1/explain?from=i-b&read=true").Errors) > 0
	}, agenttest.Generous, time.Millisecond)
	refused := asked(handler, "/v1/explain")
	require.Equal(t, http.StatusBadRequest, refused.Code)
	require.Equal(t, "who?", problemOf(t, refused).Message)
}
