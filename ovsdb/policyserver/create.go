package policyserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// How a server's folder is made. Invariant: a folder is made as a whole, or not at all.

// Options say what is made.
type Options struct {
	Server
	// Cluster is where other members reach this one, ADDRESS:PORT; "" = it stays alone.
	Cluster string
	// Remotes are members of the cluster that is joined.
	Remotes []string
	// ElectionTimer is how long a member may be silent before another one leads.
	ElectionTimer time.Duration
	// From is a file that the first policy is taken from: a backup, or that of a member that is left.
	From string

	Authorities bool     // make authorities and the member's own certificate
	Certificate string   // or this folder has the certificate
	Name        string   // of the member in its certificate
	Addresses   []string // further ones in it
}

// Init makes the first member of a cluster.
func (f Folder) Init(ctx context.Context, o Options) error {
	return f.make(ctx, o, func() error { return f.createCluster(ctx, o) })
}

// Join makes a further member. It is one as soon as it runs and reaches the others.
func (f Folder) Join(ctx context.Context, o Options) error {
	return f.make(ctx, o, func() error {
		args := []string{"join-cluster", f.path(policyName), policydb.Name, f.address(o)}
		for _, remote := range o.Remotes {
			args = append(args, f.scheme()+remote)
		}
		_, err := tool(ctx, "ovsdb-tool", args...)
		return err
	})
}

// Relay makes a server that passes on what another has.
func (f Folder) Relay(ctx context.Context, o Options) error {
	return f.make(ctx, o, func() error { return nil })
}

// check says what no server can be made with.
func (o Options) check() error {
	for _, address := range append(o.Remotes, o.Cluster) {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if o.isTLS() && !o.Authorities && o.Certificate == "" {
		return errors.New("pssl: and ssl: need certificates: --tls makes them, or --certificate FOLDER " +
			"has them")
	}
	return nil
}

// make makes the folder, and the database by create.
func (f Folder) make(ctx context.Context, o Options, create func() error) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if err := f.isFree(); err != nil {
		return err
	}
	if err := os.MkdirAll(string(f), 0o750); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.remove()
		}
	}()
	switch {
	case o.Authorities:
		err = f.certify(o.Server, o.Name, o.Cluster, o.Addresses)
	case o.Certificate != "":
		err = f.adopt(o.Certificate, o.Server)
	}
	if err != nil {
		return err
	}
	if err = create(); err != nil {
		return err
	}
	if err = f.prepareStatus(ctx, o.Server); err != nil {
		return err
	}
	if err = os.Chmod(f.path(policyName), 0o640); err != nil && !o.IsRelay() {
		return err
	}
	return f.writeServer(o.Server)
}

// made are the files of a folder that is made.
func made() []string {
	return []string{serverName, policyName, statusName, tlsName, authorityName, issuedName}
}

func (f Folder) isFree() error {
	for _, name := range made() {
		if _, err := os.Lstat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: nothing was made", f.path(name))
		}
	}
	return nil
}

func (f Folder) remove() {
	locks, _ := filepath.Glob(f.path(".*.~lock~"))
	schemas, _ := filepath.Glob(f.path("*.ovsschema"))
	for _, name := range made() {
		_ = os.RemoveAll(f.path(name))
	}
	for _, path := range append(locks, schemas...) {
		_ = os.Remove(path)
	}
}

// checkAddress judges ADDRESS:PORT; none is one, too.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	at := strings.LastIndex(address, ":")
	if at < 0 || !isPort(address[at+1:]+":"+address[:at]) {
		return fmt.Errorf("%q: a member is reached at ADDRESS:PORT, such as 192.0.2.1:6643", address)
	}
	return nil
}

// scheme is how members speak with each other.
func (f Folder) scheme() string {
	if _, err := os.Stat(f.path(tlsName, membersName)); err == nil {
		return "ssl:"
	}
	return "tcp:"
}

// address is the member's own in the cluster.
func (f Folder) address(o Options) string {
	if o.Cluster == "" {
		return "unix:" + f.path(raftName)
	}
	return f.scheme() + o.Cluster
}

// lead is by how much a database that is made of what is left of another one is ahead of it: hosts
// may have seen generations that are lost.
const lead = 1000

// createCluster makes the database: that of a file, or an empty one.
func (f Folder) createCluster(ctx context.Context, o Options) error {
	whole := f.path(policyName + ".new")
	defer func() {
		_ = os.Remove(whole)
		_ = os.Remove(f.path("." + policyName + ".new.~lock~"))
	}()
	operations := []any{
		row{"op": "insert", "table": "RBAC_Role", "row": row{"name": hostRole}},
		row{"op": "insert", "table": "Global", "row": row{}}}
	if o.From != "" {
		if err := standalone(ctx, o.From, whole); err != nil {
			return err
		}
		if err := f.convertFile(ctx, whole); err != nil {
			return err
		}
		operations = []any{row{"op": "mutate", "table": "Global", "where": []any{},
			"mutations": []any{[]any{"generation", "+=", lead}}}}
	} else if err := f.createFile(ctx, whole); err != nil {
		return err
	}
	if err := transactFile(ctx, whole, policydb.Name, operations...); err != nil {
		return err
	}
	command := []string{"create-cluster", f.path(policyName), whole, f.address(o)}
	if o.ElectionTimer > time.Second { // a second is what it is by itself; before 2.16 nothing else is
		command = append([]string{fmt.Sprintf("--election-timer=%d", o.ElectionTimer.Milliseconds())},
			command...)
	}
	_, err := tool(ctx, "ovsdb-tool", command...)
	return err
}

// schemaFile writes the schema of this program down, for ovsdb-tool.
func (f Folder) schemaFile() (string, error) {
	path := f.path(policyName + ".ovsschema")
	return path, os.WriteFile(path, policydb.Schema, 0o640)
}

func (f Folder) createFile(ctx context.Context, file string) error {
	schema, err := f.schemaFile()
	if err != nil {
		return err
	}
	_, err = tool(ctx, "ovsdb-tool", "create", file, schema)
	return err
}

func (f Folder) convertFile(ctx context.Context, file string) error {
	schema, err := f.schemaFile()
	if err != nil {
		return err
	}
	return convert(ctx, file, schema, policydb.Schema)
}
