package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A client of a policy database, as writers have one. Measurements of a fleet and of the console
// call it.

// Follow runs a client of the policy database, as writers have one, until the end of the scene, and
// waits for its first rows.
func Follow(ctx context.Context, s *Shim, endpoint string) (*policydb.Client, error) {
	c, err := policydb.New(policydb.Options{Endpoint: endpoint})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(running) }()
	s.Cleanup(func() { cancel(); <-ended })
	late := time.After(Patience)
	for {
		if _, _, err = c.Policy(); err == nil {
			return c, nil
		}
		select {
		case <-c.Changed():
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return nil, fmt.Errorf("the policy database does not answer: %w",
				errors.Join(err, c.LastError()))
		}
	}
}
