package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/controller/access"
)

// BenchmarkPlan is the plan of one more rule for a group of 10,000 members, of which half may reach
// the other half: a request from its first byte to its answer.
func BenchmarkPlan(b *testing.B) {
	s := serve(b)
	var instances []string
	for n := range 10_000 {
		group := []string{"web", "db"}[n%2]
		instances = append(instances, fmt.Sprintf(`{"name":"vm-%d","host":"hv%d","groups":["%s"],"ports":`+
			`[{"name":"tap%d","mac":"02:00:00:00:%02x:%02x","addresses":["10.0.%d.%d"]}]}`, n, n%50, group, n,
			n/256, n%256, n/256, n%256))
	}
	s.must(http.MethodPost, "/v1/changes", `{"put":{"groups":[{"name":"web"},{"name":"db","rules":[`+
		`{"direction":"ingress","protocol":"tcp","ports":3306,"group":"web"}]}],"instances":[`+
		strings.Join(instances, ",")+`]}}`)
	for b.Loop() {
		s.token = s.newToken(access.Operator, "", time.Time{})
		s.must(http.MethodPost, "/v1/groups/db/rules?dry_run=true",
			`{"direction":"ingress","protocol":"tcp","ports":5432,"group":"web"}`)
	}
}
