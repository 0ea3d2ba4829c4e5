package policyserver

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A policy database as a file, and its schema, by the stock tools.

// Remote is a server that is asked, and what it takes to be let in.
type Remote struct {
	Endpoint string
	Files    credentials.Files
}

// ask calls ovsdb-client.
func (r Remote) ask(ctx context.Context, command string, args ...string) ([]byte, error) {
	options := []string{"--no-leader-only"}
	if strings.HasPrefix(r.Endpoint, "ssl:") {
		options = append(options, "--private-key="+r.Files.Key,
			"--certificate="+r.Files.Certificate, "--ca-cert="+r.Files.CA)
	}
	return tool(ctx, "ovsdb-client", append(append(options, command, r.Endpoint), args...)...)
}

// transact makes one transaction of the policy database.
func (r Remote) transact(ctx context.Context, operations ...any) ([]client.Answer, error) {
	conn, err := client.Dial(ctx, r.Endpoint, r.Files.Config())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Raw(ctx, policydb.Name, operations...)
}

// Backup writes all of the database into a file, which is there as a whole or not at all, and
// returns the generation in it.
func (r Remote) Backup(ctx context.Context, path string) (generation int, err error) {
	text, err := r.ask(ctx, "backup", policydb.Name)
	if err != nil {
		return 0, err
	}
	part := path + ".part"
	defer func() { _ = os.Remove(part) }()
	if err := writeDurably(part, text); err != nil {
		return 0, err
	}
	if err := checkFile(ctx, part); err != nil {
		return 0, err
	}
	content, err := readFile(ctx, part)
	if err != nil {
		return 0, err
	}
	return content.generation(), os.Rename(part, path)
}

func writeDurably(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// Versions are those of a server's schema and of this program's.
type Versions struct {
	Server  string `json:"server"`
	Program string `json:"program"`
}

// Order is below 0 where the server is older.
func (v Versions) Order() int { return policydb.CompareVersions(v.Server, v.Program) }

// Versions asks for them.
func (r Remote) Versions(ctx context.Context) (Versions, error) {
	text, err := r.ask(ctx, "get-schema-version", policydb.Name)
	if err != nil {
		return Versions{}, err
	}
	v := Versions{Server: strings.TrimSpace(string(text))}
	v.Program, err = policydb.VersionOf(policydb.Schema)
	return v, err
}

// Upgrade converts a running database to the schema of this program. If what it holds does not fit,
// nothing is changed.
func (r Remote) Upgrade(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "portcullis")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	schema, err := Folder(folder).schemaFile()
	if err != nil {
		return err
	}
	if _, err = r.ask(ctx, "convert", schema); err != nil {
		return fmt.Errorf("the database is as it was: %w", err)
	}
	return nil
}
