package controller

import "context"

// Alive returns nil as soon as the loop is between two turns, which it is within a turn's time unless it is stuck; else ctx's error. It
// causes no turn.
func (c *Controller) Alive(ctx context.Context) error {
	select {
	case c.asked <- struct{}{}: // nothing is buffered: that it was received is the answer
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Await returns the first status, from the present one on, for which ok holds; or the last one and ctx's error.
func (c *Controller) Await(ctx context.Context, ok func(*Status) bool) (*Status, error) {
	return c.board.await(ctx, ok)
}
