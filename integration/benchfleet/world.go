package benchfleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The policies that are measured, and how they come into a database. The scenes call this.

// world is a policy of a size, as hosts see it.
type world struct {
	Groups int `json:"groups"`
	Rules  int `json:"rules"` // of each group
	Ports  int `json:"ports"` // one for each instance
	Local  int `json:"local"` // of a host
}

// medium is what the budgets are for.
func medium() world { return world{Groups: 100, Rules: 6, Ports: 10_200, Local: 200} }

// policy makes it.
func (w world) policy() *policy.Policy {
	return policytest.Fleet(policytest.FleetSize{Groups: w.Groups, Rules: w.Rules,
		Instances: w.Ports, Local: w.Local}).Policy
}

// crowd is one group that admits its own members, with as many members as there are ports.
func crowd(ports, local int) *policy.Policy {
	p := world{Groups: 1, Rules: 6, Ports: ports, Local: local}.policy()
	for _, i := range p.Instances {
		i.Groups = []string{p.Groups[0].Name}
	}
	return p
}

// localHost is the host that is measured, of those that [policytest.Fleet] makes.
const localHost = "hv1"

// aChange is one that nobody else has made.
func aChange() policydb.Change {
	return policydb.Change{ID: rand.Text(), At: time.Now(), By: "bench", From: "bench"}
}

// put makes a policy the one of a database.
func put(ctx context.Context, c *policydb.Client, p *policy.Policy) error {
	_, err := c.Change(ctx, aChange(), func(*policy.Policy) (*policy.Policy, string, error) {
		return p, "all of it", nil
	})
	return err
}

// newFilled is a server with a policy in it.
func newFilled(ctx context.Context, s *measure.Shim, p *policy.Policy) (*server, error) {
	m, err := newServer(ctx, s)
	if err != nil {
		return nil, err
	}
	return m, measure.During(func(s *measure.Shim) error {
		c, err := measure.Follow(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		return put(ctx, c, p)
	})
}

// hand changes rows as a foreign program would, by UUID and without asking what is valid: the
// cheapest change there is.
type hand struct {
	wire       *wire
	global     string // UUIDs
	ports      []row  // in no order
	group      string // one of them
	generation int
}

// row is a port's.
type row struct {
	uuid      string
	addresses []string
}

func newHand(ctx context.Context, s *measure.Shim, endpoint string) (*hand, error) {
	w, err := dial(ctx, endpoint, nil)
	if err != nil {
		return nil, err
	}
	s.Cleanup(w.close)
	h := &hand{wire: w}
	all := func(table string, columns ...string) object {
		return object{"op": "select", "table": table, "where": []any{},
			"columns": append(columns, "_uuid")}
	}
	found, err := w.transact(ctx, policydb.Name, all("Global", "generation"), all("Port", "addresses"),
		all("Group"))
	if err != nil {
		return nil, err
	}
	for _, row := range found[0].Rows {
		h.global, h.generation = elements(row["_uuid"])[0], int(row["generation"].(float64))
	}
	for _, r := range found[1].Rows {
		h.ports = append(h.ports, row{elements(r["_uuid"])[0], elements(r["addresses"])})
	}
	for _, row := range found[2].Rows {
		h.group = elements(row["_uuid"])[0]
	}
	return h, nil
}

// next is the operation that makes the next generation.
func (h *hand) next() object {
	h.generation++
	return object{"op": "update", "table": "Global", "where": at(h.global),
		"row": object{"generation": h.generation}}
}

// marker is what the update of the present generation has and no other one.
func (h *hand) marker() []byte { return fmt.Appendf(nil, `"generation":%d}`, h.generation) }

// move gives a port another address beside its own, as one change.
func (h *hand) move(ctx context.Context, n int) error {
	port := h.ports[n%len(h.ports)]
	addresses := append(slices.Clone(port.addresses), spare(h.generation))
	_, err := h.wire.transact(ctx, policydb.Name, object{"op": "update", "table": "Port",
		"where": at(port.uuid), "row": object{"addresses": set(addresses...)}}, h.next())
	return err
}

// spare is an address that no port of a world has.
func spare(n int) string { return fmt.Sprintf("10.250.%d.%d/32", n>>8&255, n&255) }

// join adds a member to a group, elsewhere, and returns its row.
func (h *hand) join(ctx context.Context, name, address string) (string, error) {
	done, err := h.wire.call(ctx, "transact", policydb.Name, object{"op": "insert", "table": "Port",
		"row": object{"name": name, "instance": name, "host": "elsewhere", "interface": name,
			"groups": reference(h.group), "mac": "02:ff:00:00:00:01", "addresses": address}}, h.next())
	if err != nil {
		return "", err
	}
	var made []struct {
		UUID    []string `json:"uuid"`
		Error   string   `json:"error"`
		Details string   `json:"details"`
	}
	if err := json.Unmarshal(done, &made); err != nil {
		return "", fmt.Errorf("read an answer: %w", err)
	}
	if len(made) < 2 || len(made[0].UUID) != 2 {
		return "", fmt.Errorf("a member cannot be added: %s", done)
	}
	return made[0].UUID[1], nil
}

// leave takes it away.
func (h *hand) leave(ctx context.Context, row string) error {
	_, err := h.wire.transact(ctx, policydb.Name, object{"op": "delete", "table": "Port",
		"where": at(row)}, h.next())
	return err
}
