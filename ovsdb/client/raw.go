package client

import (
	"context"
	"fmt"
)

// Raw is for who handles rows of any table as they are sent: package policyserver, which restores
// backups.

// Answer is what a server says of one operation.
type Answer struct {
	Rows []map[string]any `json:"rows"` // in the form of RFC 7047, 5.1
}

// AnswerError is an operation that the server refused, and all others of its transaction with it.
type AnswerError struct {
	Operation int    // its number, from 0; that after the last one is the commit
	Word      string // such as "timed out" (RFC 7047, 3.1)
	Details   string
}

func (e *AnswerError) Error() string {
	if e.Details == "" {
		return e.Word
	}
	return e.Word + ": " + e.Details
}

// Raw sends operations, in the form of RFC 7047, 5.2, as one transaction of a database. An
// *[AnswerError] says that nothing was changed; any other error ends the connection.
func (c *Conn) Raw(ctx context.Context, database string, operations ...any) ([]Answer, error) {
	var results []struct {
		Answer
		Error   string `json:"error"`
		Details string `json:"details"`
	}
	err := c.conn.call(ctx, "transact", &results, append([]any{database}, operations...)...)
	if err != nil {
		c.conn.end(err)
		return nil, fmt.Errorf("OVSDB at %s: %w", c.endpoint, err)
	}
	answers := make([]Answer, len(results))
	for n, one := range results {
		if one.Error != "" {
			return nil, &AnswerError{Operation: n, Word: one.Error, Details: one.Details}
		}
		answers[n] = one.Answer
	}
	if len(answers) < len(operations) {
		err := fmt.Errorf("%d answers to %d operations", len(answers), len(operations))
		c.conn.end(err)
		return nil, fmt.Errorf("OVSDB at %s: %w", c.endpoint, err)
	}
	return answers, nil
}
