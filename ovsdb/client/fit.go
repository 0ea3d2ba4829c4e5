package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Whether the schema of a server has what is wanted of it: programs and databases are upgraded one
// after the other. stream.go and session.go call this. Invariant: what is left out of a request is
// known to be missing, and is said.

// Misfit makes an error that says what to do about a database whose schema, of a version, lacks
// something that is wanted.
type Misfit func(version string, err error) error

// words has the error as it is where nobody knows more.
func (m Misfit) words(version string, err error) error {
	if m == nil {
		return err
	}
	return m(version, err)
}

// schema is that of a database, as far as it is looked at.
type schema struct {
	Version string `json:"version"`
	Tables  map[string]struct {
		Columns map[string]json.RawMessage `json:"columns"`
	} `json:"tables"`
}

func (c *connection) schema(ctx context.Context, database string) (s schema, err error) {
	return s, c.call(ctx, "get_schema", &s, database)
}

// lacks names the columns that a schema has not, such as Group.shared; of a table that it has not,
// the table.
func (s schema) lacks(columns map[string][]string) (out []string) {
	for _, table := range slices.Sorted(maps.Keys(columns)) {
		has, isThere := s.Tables[table]
		if !isThere {
			out = append(out, table)
			continue
		}
		for _, column := range columns[table] {
			if _, isThere := has.Columns[column]; !isThere {
				out = append(out, table+"."+column)
			}
		}
	}
	return out
}

// Without are columns but those that are named in the way of [Server].Lacks.
func Without(columns map[string][]string, lacks []string) map[string][]string {
	out := map[string][]string{}
	for table, all := range columns {
		if slices.Contains(lacks, table) {
			continue
		}
		out[table] = slices.DeleteFunc(slices.Clone(all), func(column string) bool {
			return slices.Contains(lacks, table+"."+column)
		})
	}
	return out
}

// refusal is the server's answer that a request cannot be met.
type refusal struct {
	method string
	why    json.RawMessage
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %s", r.method, r.why) }

// errConverted says that what was asked of a schema is not true any more.
var errConverted = errors.New("the database has another schema than a moment ago")

// startOlder is start with a server that has refused to tell all columns: it is asked for those
// that its schema has, if only such are missing as a server may lack.
func (s *Stream) startOlder(ctx context.Context, conn *connection, a asking, refused error) error {
	if len(s.opts.Later) == 0 && s.opts.Misfit == nil {
		return refused
	}
	looking, cancel := context.WithTimeout(ctx, a.greet)
	defer cancel()
	has, err := conn.schema(looking, s.opts.Database)
	if err != nil {
		return fmt.Errorf("%w; its schema cannot be read: %w", refused, err)
	}
	lacks := has.lacks(s.opts.Columns)
	for _, name := range lacks {
		if !slices.Contains(s.opts.Later, name) {
			return s.opts.Misfit.words(has.Version, fmt.Errorf("it has no %s",
				strings.Join(lacks, ", ")))
		}
	}
	if len(lacks) == 0 {
		return refused
	}
	a.server.Schema, a.server.Lacks = has.Version, lacks
	if err := s.monitor(ctx, conn, a); err != nil {
		return err
	}
	looking, cancel = context.WithTimeout(ctx, a.greet)
	defer cancel()
	// from here on a conversion ends the connection
	now, err := conn.schema(looking, s.opts.Database)
	if err == nil && now.Version != has.Version {
		err = errConverted
	}
	return err
}
