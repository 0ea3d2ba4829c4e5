package policydb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// The tokens with which people and programs come to an API server. It and the command token call
// this. Invariant: what is kept of a secret is no use to who reads the database. A token is no part
// of the policy, so that making or revoking one is no generation.

// Token is one token. Its ID is public; Secret is what is kept of the secret: a digest, or the
// secret sealed, or the name in a certificate.
type Token struct {
	ID          string
	Kind        string // [BearerToken], [ExoscaleKey], [Certificate] or [Session]
	Secret      string
	Role        string // viewer, editor or operator
	Project     string // "" = all
	Description string
	At          time.Time
	By          string
	Expires     time.Time // the zero Time = never
	Used        time.Time // last, to some minutes; the zero Time = never
}

// The kinds of tokens.
const (
	BearerToken = "bearer"
	ExoscaleKey = "exoscale"
	Certificate = "certificate"
	Session     = "session"
)

// IsExpired says whether a token is not to be accepted any more.
func (t Token) IsExpired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// Tokens returns all tokens, the oldest first.
func (c *Client) Tokens() ([]Token, error) {
	var out []Token
	err := c.Read(func(all client.Rows) error {
		for _, row := range client.Table[*rows.Token](all, rows.TokenTable) {
			out = append(out, tokenOf(row))
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Token) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, err
}

func tokenOf(row *rows.Token) Token {
	t := Token{ID: row.ID, Kind: row.Kind, Secret: row.Secret, Role: row.Role,
		Description: row.Description, At: time.UnixMilli(int64(row.At)), By: row.By,
		Expires: moment(row.Expires), Used: moment(row.Used)}
	if row.Project != nil {
		t.Project = *row.Project
	}
	return t
}

// moment reads a column of milliseconds that may be empty.
func moment(column *int) time.Time {
	if column == nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(*column))
}

// momentColumn writes one.
func momentColumn(t time.Time) libovsdb.OvsSet {
	if t.IsZero() {
		return client.Set[int](nil)
	}
	return client.Set([]int{int(t.UnixMilli())})
}

// ErrNoToken says that there is no token of an ID.
var ErrNoToken = errors.New("there is no such token")

// ErrTaken says that the name of a certificate has an entry.
var ErrTaken = errors.New("it has an entry already, to be revoked first")

// ofCertificate is the ID of the entry that the certificate of a new one has; "" = none.
func ofCertificate(all client.Rows, t Token) string {
	for _, row := range client.Table[*rows.Token](all, rows.TokenTable) {
		if t.Kind == Certificate && row.Kind == Certificate && row.Secret == t.Secret {
			return row.ID
		}
	}
	return ""
}

// AddToken keeps a new token.
func (c *Client) AddToken(ctx context.Context, t Token) error {
	var projects []string
	if t.Project != "" {
		projects = []string{t.Project}
	}
	row := libovsdb.Row{"id": t.ID, "kind": t.Kind, "secret": t.Secret, "role": t.Role,
		"project": client.Set(projects), "description": t.Description,
		"at": int(t.At.UnixMilli()), "by": t.By, "expires": momentColumn(t.Expires)}
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		if findToken(all, t.ID) != nil {
			return nil, nil // it is there
		}
		if of := ofCertificate(all, t); of != "" {
			return nil, fmt.Errorf("certificate %q: %w: %s", t.Secret, ErrTaken, of)
		}
		var ops client.Operations
		ops.Insert("token "+t.ID, rows.TokenTable, row)
		return durable(ops), nil
	})
}

// RemoveToken revokes a token.
func (c *Client) RemoveToken(ctx context.Context, id string) error {
	if _, err := c.Token(id); err != nil {
		return err
	}
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		row := findToken(all, id)
		if row == nil {
			return nil, nil
		}
		var ops client.Operations
		ops.Delete("token "+id, rows.TokenTable, row.UUID)
		return durable(ops), nil
	})
}

// NoteUse notes when a token was used last. Nothing depends on it.
func (c *Client) NoteUse(ctx context.Context, id string, at time.Time) error {
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		row := findToken(all, id)
		if row == nil || !moment(row.Used).Before(at.Truncate(time.Millisecond)) {
			return nil, nil
		}
		var ops client.Operations
		ops.Update("token "+id, rows.TokenTable, row.UUID,
			libovsdb.Row{"used": momentColumn(at)})
		return ops, nil
	})
}

// ForgetSessions removes the sessions that are over, as nobody else does.
func (c *Client) ForgetSessions(ctx context.Context, now time.Time) error {
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		var ops client.Operations
		for _, row := range client.Table[*rows.Token](all, rows.TokenTable) {
			if row.Kind == Session && tokenOf(row).IsExpired(now) {
				ops.Delete("session "+row.ID, rows.TokenTable, row.UUID)
			}
		}
		return ops, nil
	})
}

// Token returns a token by its ID; the error is ErrNoToken, or that the database is not there.
func (c *Client) Token(id string) (Token, error) {
	var out Token
	err := c.Read(func(all client.Rows) error {
		row := findToken(all, id)
		if row == nil {
			return fmt.Errorf("token %q: %w", id, ErrNoToken)
		}
		out = tokenOf(row)
		return nil
	})
	return out, err
}

func findToken(all client.Rows, id string) *rows.Token {
	for _, row := range client.Table[*rows.Token](all, rows.TokenTable) {
		if row.ID == id {
			return row
		}
	}
	return nil
}

// durable has a transaction on the disk before it is acknowledged, also by a database that is no
// cluster.
func durable(ops client.Operations) client.Operations {
	isDurable := true
	return append(ops, client.Operation{About: "commit",
		Op: libovsdb.Operation{Op: libovsdb.OperationCommit, Durable: &isDurable}})
}
