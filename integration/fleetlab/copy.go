package fleetlab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What a member has of the policy, and what it has written of it. Tests that look for something
// lost ask each of them: one may be behind the others for as long as it likes.

// askTime bounds a question to one server, which may stand still.
const askTime = 2 * time.Second

// Select reads columns of all rows of tables from the server itself, at one moment.
func (s *Server) Select(columns map[string][]string) (map[string][]map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Slowed(askTime))
	defer cancel()
	c, err := client.Dial(ctx, s.Socket(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	defer c.Close()
	var tables []string
	var questions []any
	for table, list := range columns {
		tables = append(tables, table)
		questions = append(questions, map[string]any{"op": "select", "table": table, "where": []any{},
			"columns": list})
	}
	answers, err := c.Raw(ctx, policydb.Name, questions...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	out := map[string][]map[string]any{}
	for n, table := range tables {
		out[table] = answers[n].Rows
	}
	return out, nil
}

// Generation is the one that the server's own copy is of; 0 = nobody has written one.
func (s *Server) Generation() (int, error) {
	all, err := s.Select(map[string][]string{"Global": {"generation"}})
	if err != nil || len(all["Global"]) == 0 {
		return 0, err
	}
	n, _ := all["Global"][0]["generation"].(float64)
	return int(n), nil
}

// AwaitAlike waits until the copies of all members are of one generation, that one or a newer one.
// With nobody writing, all that was acknowledged before is in each of them then.
func (l *Lab) AwaitAlike(generation int) error {
	return await(fmt.Sprintf("all members have generation %d", generation), func() error {
		var have []string
		all := map[int]bool{}
		for _, m := range l.Members {
			n, err := m.Generation()
			if err != nil {
				return err
			}
			all[n] = true
			if have = append(have, fmt.Sprintf("%s has %d", m.Name, n)); n < generation {
				all[-1] = true
			}
		}
		if len(all) > 1 {
			return errors.New(strings.Join(have, ", "))
		}
		return nil
	})
}

// TellElections has the server say who leads and who votes, for [Server.Said], until it ends.
func (s *Server) TellElections() error {
	_, err := s.Appctl("vlog/set", "raft:console:info")
	return err
}

// Said are the lines of all that the server has said that have a word.
func (s *Server) Said(word string) ([]string, error) {
	return linesWith(s.path("server.log"), word)
}

// Written says where the member's file has a word: in which entries of the cluster's log, or in the
// snapshot that the file begins with.
func (s *Server) Written(word string) (entries []string, err error) {
	lines, err := linesWith(s.path("portcullis.db"), word)
	for _, line := range lines {
		var entry struct {
			Term, Index   int
			SnapshotTerm  int `json:"prev_term"`
			SnapshotIndex int `json:"prev_index"`
		}
		switch err := json.Unmarshal([]byte(line), &entry); {
		case err != nil:
			entries = append(entries, "what is no entry: "+err.Error())
		case entry.SnapshotIndex > 0:
			entries = append(entries, fmt.Sprintf("the snapshot up to index %d of term %d",
				entry.SnapshotIndex, entry.SnapshotTerm))
		default:
			entries = append(entries, fmt.Sprintf("index %d of term %d", entry.Index, entry.Term))
		}
	}
	return entries, err
}

// linesWith are the lines of a file that have a word.
func linesWith(file, word string) (out []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const longest = 256 << 20 // a database may be one line
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if strings.Contains(lines.Text(), word) {
			out = append(out, lines.Text())
		}
	}
	return out, lines.Err()
}
