package policydb

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// The schemas, as `portcullis db init` gives them to ovsdb-tool, and how databases with former ones
// are met.

// Schema is that of the policy database. It may be served by a cluster.
//
//go:embed portcullis.ovsschema
var Schema []byte

// StatusSchema is that of the database in which hosts say how far they are. Its columns are
// ephemeral, which clusters do not have, so it is standalone.
//
//go:embed portcullis-status.ovsschema
var StatusSchema []byte

// The names of the databases.
const (
	Name       = "Portcullis"
	StatusName = "Portcullis_Status"
)

// added are the columns that a host reads and that came after the schema 0.1.0. A database without
// them is followed as if they were empty, which is what its upgrade makes of them. A column that is
// added to the schema is added here.
func added() []string { return []string{"Project", "Group.shared"} }

// columnsOf names the columns that are read of a server.
func columnsOf(s client.Server) string {
	text, _ := json.Marshal(client.Without(followed(), s.Lacks)) // texts
	return fmt.Sprintf("%08x", sumOf(text))
}

// SchemaError says what to do about a database with the schema of another version; waiting does not
// help.
type SchemaError struct{ words string }

func (e *SchemaError) Error() string { return e.words }

// misfit makes the error of a schema that lacks something.
func misfit(version string, err error) error {
	own, broken := VersionOf(Schema)
	switch {
	case broken != nil:
		return broken
	case CompareVersions(version, own) < 0:
		return &SchemaError{fmt.Sprintf("the database has the schema %s, and this portcullis needs "+
			"%s: bring it there with 'portcullis db upgrade'", version, own)}
	}
	return &SchemaError{fmt.Sprintf("the database has the schema %s, which this portcullis with %s "+
		"does not understand: use that of its members: %v", version, own, err)}
}

// Read is that of [client.Client]; the error is a *[SchemaError], too, where that is why there is
// no connection.
func (c *Client) Read(show func(client.Rows) error) error {
	err := c.Client.Read(show)
	if errors.Is(err, client.ErrNotConnected) {
		if why, isOther := errors.AsType[*SchemaError](c.LastError()); isOther {
			return fmt.Errorf("%w: %w", err, why)
		}
	}
	return err
}

// VersionOf is the version of a schema.
func VersionOf(schema []byte) (string, error) {
	var s struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return "", fmt.Errorf("the schema cannot be read: %w", err)
	}
	return s.Version, nil
}

// CompareVersions orders versions such as 0.10.0: below 0 = a is older.
func CompareVersions(a, b string) int {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for n := range max(len(left), len(right)) {
		if d := numberAt(left, n) - numberAt(right, n); d != 0 {
			return d
		}
	}
	return 0
}

func numberAt(version []string, n int) int {
	if n >= len(version) {
		return 0
	}
	number, _ := strconv.Atoi(version[n]) // ovsdb admits numbers alone
	return number
}
