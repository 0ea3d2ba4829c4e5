package policydb

import _ "embed"

// The schemas, as `portcullis db init` gives them to ovsdb-tool.

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
