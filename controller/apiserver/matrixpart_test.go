package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// TestMatrixPart: a part has the cells from its rows to its columns and says the same as the whole,
// also after a change; one that cannot be is refused in words; a project's has its own names.
func TestMatrixPart(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/db", `{"rules":[]}`)
	s.must("PUT", "/v1/groups/web", `{"rules":[`+webRule+`,
		{"direction":"egress","protocol":"any","group":"db"}]}`)
	s.must("PUT", "/v1/instances/web-1", instanceBody("02:00:00:00:00:11", "203.0.113.11", "web"))
	s.must("PUT", "/v1/instances/db-1", instanceBody("02:00:00:00:00:12", "203.0.113.12", "db"))
	part := func(query string) (m Matrix) {
		a := s.must("GET", "/v1/matrix?"+query, "")
		require.NoError(t, json.Unmarshal([]byte(a.text), &m))
		return m
	}
	m := part("rows=198.51.100.0/24%0Adb&columns=web")
	require.Len(t, m.Cells, 1, "the office reaches web, db does not")
	require.Equal(t, "198.51.100.0/24", m.Cells[0].From)
	require.Len(t, m.Ends, 3)
	m = part("rows=web&columns=db")
	require.Empty(t, m.Cells)
	require.Equal(t, "no ingress rule of db admits it", m.Arrows[0].Lacks)

	s.must("PUT", "/v1/groups/db", `{"rules":[{"direction":"ingress","protocol":"tcp","ports":3306,
		"group":"web"}]}`, "If-Match: *")
	m = part("rows=web&columns=db")
	require.Len(t, m.Cells, 1, "a change is seen at once")
	require.Equal(t, []string{"tcp/3306"}, m.Cells[0].Services)

	a := s.ask("GET", "/v1/matrix?rows=wev&columns=db", "")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.text, "wev")
	require.Contains(t, a.text, "web")

	s.must("PUT", "/v1/projects/acme", `{}`)
	acme := s.newToken(access.Editor, "acme", time.Time{})
	require.Less(t, s.as(acme, "PUT", "/v1/projects/acme/groups/own", `{"rules":[`+webRule+`]}`).status,
		300)
	a = s.as(acme, "GET", "/v1/projects/acme/matrix?rows=outside&columns=own", "")
	require.Equal(t, http.StatusOK, a.status, a.text)
	a = s.as(acme, "GET", "/v1/projects/acme/matrix?rows=outside&columns=%2Fdb", "")
	require.Equal(t, http.StatusBadRequest, a.status, "another's group")
}

// TestWholeMatrixIsBounded: nobody has a server look at millions of pairs by one question; who asks
// for a part, or for one end, is answered.
func TestWholeMatrixIsBounded(t *testing.T) {
	s := serve(t)
	var many []string
	for n := range mostGroups + 1 {
		many = append(many, fmt.Sprintf(`{"name":"g%d"}`, n))
	}
	s.must("POST", "/v1/changes", `{"put":{"groups":[`+strings.Join(many, ",")+`]}}`)
	a := s.ask("GET", "/v1/matrix", "")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.text, "501 groups are too many for one matrix, which holds 500")
	s.must("GET", "/v1/matrix?from=g1", "")
	s.must("GET", "/v1/matrix?rows=g1%0Ag2&columns=g3", "")
	s.must("DELETE", "/v1/groups/g500", "", "If-Match: *")
	s.must("GET", "/v1/matrix", "")
}
