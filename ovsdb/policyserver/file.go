package policyserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // as ovsdb(5) has it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Files of databases that no server has open. Invariant: a file is known to be whole before it is
// used. The tools leave out what follows the first mistake, and go on with what is before it.

// checkFile says why a file is no database of policies from its first to its last byte.
func checkFile(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	records := 0
	for in := bufio.NewReader(file); ; records++ {
		_, err := record(in)
		if errors.Is(err, io.EOF) && records > 0 {
			break
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		if err != nil {
			return fmt.Errorf("%s: no whole file of a database, from its record %d on: %w", path,
				records+1, err)
		}
	}
	name, err := tool(ctx, "ovsdb-tool", "db-name", path)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(name)); got != policydb.Name {
		return fmt.Errorf("%s: is of the database %s, not of %s", path, got, policydb.Name)
	}
	return nil
}

// record reads a record: "OVSDB JSON LENGTH SHA1", and so many bytes. io.EOF = there is none.
func record(in *bufio.Reader) ([]byte, error) {
	head, err := in.ReadString('\n')
	if head == "" && errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	words := strings.Fields(head)
	if err != nil || len(words) != 4 || words[0] != "OVSDB" {
		return nil, errors.New("its header cannot be read")
	}
	length, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return nil, errors.New("its length cannot be read")
	}
	var content bytes.Buffer
	if n, err := io.CopyN(&content, in, length); err != nil {
		return nil, fmt.Errorf("it ends after %d of %d bytes", n, length)
	}
	if sum := sha1.Sum(content.Bytes()); hex.EncodeToString(sum[:]) != words[3] {
		return nil, errors.New("its content is not what it was")
	}
	return content.Bytes(), nil
}

// schemaOf is the schema of a file that is no member's: its first record.
func schemaOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return record(bufio.NewReader(file))
}

// standalone copies a database, which may be of a member, into a file of its own.
func standalone(ctx context.Context, from, to string) error {
	if err := checkFile(ctx, from); err != nil {
		return err
	}
	if _, err := tool(ctx, "ovsdb-tool", "db-is-clustered", from); err == nil {
		_, err = tool(ctx, "ovsdb-tool", "cluster-to-standalone", to, from)
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// convert makes a file fit a schema that is not older than its own.
func convert(ctx context.Context, file, schemaFile string, schema []byte) error {
	had, err := tool(ctx, "ovsdb-tool", "db-version", file)
	if err != nil {
		return err
	}
	has, err := policydb.VersionOf(schema)
	if err != nil {
		return err
	}
	switch order := policydb.CompareVersions(strings.TrimSpace(string(had)), has); {
	case order > 0:
		return fmt.Errorf("%s: has the schema %s, which is newer than %s", file,
			strings.TrimSpace(string(had)), has)
	case order == 0:
		return nil
	}
	_, err = tool(ctx, "ovsdb-tool", "convert", file, schemaFile)
	return err
}
