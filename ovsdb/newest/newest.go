// Package newest says which generation of a policy database was committed last, for a server that
// must not answer of an older one: what somebody was told by another server is seen here, too. The
// API server asks it before it answers below /v2.
//
// A member that follows may be behind the leader, which has all that anybody was told is done. So
// the leader is asked, whichever of the servers it is; where it is none of those that are known, or
// does not answer, a write goes through the cluster, behind which all that was done before is
// there.
package newest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

const (
	// patience is how long the servers may take to say it.
	patience = time.Second
	// roundTime bounds an answer, with the write that may have to be made.
	roundTime = 5 * time.Second
)

// Source is where it is asked. Its methods may be called from any goroutine.
type Source struct {
	db    *policydb.Client
	links []*link

	mu        sync.Mutex
	next      *round // that begins when the present one is over; nil = nobody waits
	isRunning bool
}

// New returns one of the servers of a policy database, which the client is of, too.
func New(endpoint string, secrets *tls.Config, db *policydb.Client) *Source {
	s := &Source{db: db}
	for _, one := range strings.Split(endpoint, ",") {
		s.links = append(s.links, &link{endpoint: one, tls: secrets})
	}
	return s
}

// round is one time that the servers are asked, for all who wait.
type round struct {
	done       chan struct{}
	generation int
	err        error
}

// Generation returns one that is not older than any that was committed before it was called. Those
// who ask at one time are answered together.
func (s *Source) Generation(ctx context.Context) (int, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
	}
	mine := s.next
	if !s.isRunning {
		s.isRunning = true
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.generation, mine.err
	case <-ctx.Done():
		return 0, fmt.Errorf("ask for the newest generation: %w", ctx.Err())
	}
}

// run asks as long as somebody waits.
func (s *Source) run() {
	for {
		s.mu.Lock()
		r := s.next
		if s.next = nil; r == nil {
			s.isRunning = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), roundTime)
		r.generation, r.err = s.ask(ctx)
		cancel()
		close(r.done)
	}
}

// ask asks all servers and takes what the leader says.
func (s *Source) ask(ctx context.Context) (int, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	answers := make(chan said, len(s.links))
	var all sync.WaitGroup
	for _, l := range s.links {
		all.Go(func() { answers <- l.ask(asking) })
	}
	go func() { // one that is silent is left to itself
		all.Wait()
		cancel()
	}()
	for range s.links {
		if a := <-answers; a.err == nil && a.isLeader {
			return a.generation, nil
		}
	}
	return s.write(ctx)
}

// write puts a beat through the cluster: the client has then all that was committed before.
func (s *Source) write(ctx context.Context) (int, error) {
	isDone := false
	err := s.db.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		var w client.Operations
		for uuid := range client.Table[*rows.Global](all, rows.GlobalTable) {
			if !isDone {
				w.Mutate("a beat", rows.GlobalTable, uuid, []libovsdb.Mutation{
					{Column: "beat", Mutator: libovsdb.MutateOperationAdd, Value: 1}})
			}
		}
		if !isDone && len(w) == 0 { // nobody has written yet; that is asked, too
			comment := "which generation is the newest"
			w = append(w, client.Operation{About: comment,
				Op: libovsdb.Operation{Op: libovsdb.OperationComment, Comment: &comment}})
		}
		isDone = true
		return w, nil
	})
	if err != nil {
		return 0, err
	}
	p, err := s.db.Pulse()
	return p.Generation, err
}

// said is what a server knows.
type said struct {
	generation int
	isLeader   bool // or it is the only one
	err        error
}

// link is a connection to one server, made anew when it is lost.
type link struct {
	endpoint string
	tls      *tls.Config

	busy sync.Mutex // held while it is asked
	conn *client.Conn
}

// errBusy says that a server has not answered the question before.
var errBusy = errors.New("the server has not answered yet")

// ask asks the server what it has, and then whether it leads.
func (l *link) ask(ctx context.Context) (a said) {
	if !l.busy.TryLock() {
		return said{err: errBusy}
	}
	defer l.busy.Unlock()
	if l.conn == nil {
		if l.conn, a.err = client.Dial(ctx, l.endpoint, l.tls); a.err != nil {
			l.conn = nil
			return a
		}
	}
	defer func() {
		if a.err != nil {
			l.conn.Close()
			l.conn = nil
		}
	}()
	found, err := l.conn.Raw(ctx, policydb.Name, selecting(rows.GlobalTable, []any{}, "generation"))
	if err != nil {
		return said{err: err}
	}
	for _, row := range found[0].Rows {
		n, _ := row["generation"].(float64)
		a.generation = int(n)
	}
	found, err = l.conn.Raw(ctx, "_Server",
		selecting("Database", []any{[]any{"name", "==", policydb.Name}}, "leader"))
	if err != nil {
		return said{err: err}
	}
	for _, row := range found[0].Rows {
		a.isLeader, _ = row["leader"].(bool)
	}
	return a
}

// selecting is an operation that reads a column.
func selecting(table string, where []any, column string) map[string]any {
	return map[string]any{"op": "select", "table": table, "where": where, "columns": []string{column}}
}
