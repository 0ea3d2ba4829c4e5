package statusdb

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// Rows of Portcullis_Status to values, and what turns the rows of a host into a report. writer.go
// and read.go call this. Invariant: a host inserts, changes and deletes its own rows only, and of
// those that are there only columns that differ.

// Name is the database's.
const Name = "Portcullis_Status"

const (
	hostTable = "Host_Status"
	portTable = "Port_Status"
)

// ownRows are those that a server has of one host.
type ownRows struct {
	hostUUID string // "" = none
	host     libovsdb.Row
	ports    map[string]ownPort // by the port's name
}

type ownPort struct {
	uuid string
	row  libovsdb.Row
}

// hostColumns are all columns of a report but when it was made.
func (r Report) hostColumns() libovsdb.Row {
	problems := libovsdb.OvsMap{GoMap: map[any]any{}}
	for key, text := range r.Problems {
		if len(problems.GoMap) < maxProblems {
			problems.GoMap[key] = clipped(text, 4*maxReason)
		}
	}
	return libovsdb.Row{"version": clipped(r.Version, maxVersion), "api": clipped(r.API, maxAPI),
		"generation":    r.Generation,
		"generation_at": millis(r.GenerationAt), "ports_bound": r.PortsBound, "problems": problems}
}

func (p Port) columns() libovsdb.Row {
	return libovsdb.Row{"state": string(p.State), "reason": clipped(p.Reason, maxReason),
		"since": millis(p.Since)}
}

// plan is what turns the rows into a report that is made now, and the rows as they are then. A
// report that changes nothing is one that it is still so: the time alone.
func (o ownRows) plan(host string, r Report, now time.Time) client.Operations {
	var ops client.Operations
	about := "status of host " + host
	columns := client.Differing(r.hostColumns(), o.host)
	columns["seen_at"] = millis(now)
	if o.hostUUID == "" {
		columns["name"] = host
		ops.Insert(about, hostTable, columns)
	} else {
		ops.Update(about, hostTable, o.hostUUID, columns)
	}
	left := make(map[string]bool, len(r.Ports))
	for _, p := range r.Ports {
		left[p.Name] = true
		own, isThere := o.ports[p.Name]
		columns := client.Differing(p.columns(), own.row)
		if isThere {
			ops.Update(about+", port "+p.Name, portTable, own.uuid, columns)
			continue
		}
		columns["name"], columns["host"] = p.Name, host
		ops.Insert(about+", port "+p.Name, portTable, columns)
	}
	for name, own := range o.ports {
		if !left[name] {
			ops.Delete(about+", port "+name, portTable, own.uuid)
		}
	}
	return ops
}

// holds says whether the rows say what a report says.
func (o ownRows) holds(r Report) bool {
	if o.hostUUID == "" || len(client.Differing(r.hostColumns(), o.host)) > 0 ||
		len(o.ports) != len(r.Ports) {
		return false
	}
	return !slices.ContainsFunc(r.Ports, func(p Port) bool {
		own, isThere := o.ports[p.Name]
		return !isThere || len(client.Differing(p.columns(), own.row)) > 0
	})
}

// generation is the one that the rows say is in force.
func (o ownRows) generation() int { n, _ := o.host["generation"].(int); return n }

// selectOwn asks for the rows of one host.
func selectOwn(host string) client.Operations {
	return client.Operations{
		{About: "the status of this host", Op: libovsdb.Operation{Op: libovsdb.OperationSelect,
			Table: hostTable, Where: equal("name", host)}},
		{About: "the status of its ports", Op: libovsdb.Operation{Op: libovsdb.OperationSelect,
			Table: portTable, Where: equal("host", host)}},
	}
}

func equal(column, value string) []libovsdb.Condition {
	return []libovsdb.Condition{libovsdb.NewCondition(column, libovsdb.ConditionEqual, value)}
}

// readOwn reads what selectOwn got.
func readOwn(results []libovsdb.OperationResult) (ownRows, error) {
	own := ownRows{ports: map[string]ownPort{}}
	if len(results) < 2 {
		return own, fmt.Errorf("the server answered %d of 2 operations", len(results))
	}
	for _, row := range results[0].Rows {
		own.hostUUID, own.host = uuidOf(row), plain(row)
	}
	for _, row := range results[1].Rows {
		name, _ := row["name"].(string)
		own.ports[name] = ownPort{uuidOf(row), plain(row)}
	}
	return own, nil
}

func uuidOf(row libovsdb.Row) string {
	uuid, _ := row["_uuid"].(libovsdb.UUID)
	return uuid.GoUUID
}

// plain is a row with numbers as integers: JSON has others.
func plain(row libovsdb.Row) libovsdb.Row {
	out := libovsdb.Row{}
	for column, value := range row {
		switch n := value.(type) {
		case float64:
			out[column] = int(n)
		case json.Number:
			number, _ := n.Int64()
			out[column] = int(number)
		default:
			out[column] = value
		}
	}
	return out
}

// readHost reads a row of Host_Status.
func readHost(row libovsdb.Row) Host {
	row = plain(row)
	number := func(column string) int { n, _ := row[column].(int); return n }
	h := Host{Generation: number("generation"), GenerationAt: fromMillis(number("generation_at")),
		SeenAt: fromMillis(number("seen_at")), PortsBound: number("ports_bound")}
	h.Name, _ = row["name"].(string)
	h.Version, _ = row["version"].(string)
	h.API, _ = row["api"].(string)
	if problems, _ := row["problems"].(libovsdb.OvsMap); len(problems.GoMap) > 0 {
		h.Problems = make(map[string]string, len(problems.GoMap))
		for key, text := range problems.GoMap {
			h.Problems[fmt.Sprint(key)] = fmt.Sprint(text)
		}
	}
	return h
}

// readPort reads a row of Port_Status, and whose it is.
func readPort(row libovsdb.Row) (host string, p Port) {
	row = plain(row)
	host, _ = row["host"].(string)
	p.Name, _ = row["name"].(string)
	state, _ := row["state"].(string)
	p.State = cmp.Or(State(state), Pending)
	p.Reason, _ = row["reason"].(string)
	since, _ := row["since"].(int)
	p.Since = fromMillis(since)
	return host, p
}
