// Package unixctl asks a daemon of Open vSwitch at its control socket, as ovs-appctl(8) does, and
// without a process for each question: to start one takes longer than most answers.
package unixctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// errNoAnswer is an answer that says neither what was asked for nor why not.
var errNoAnswer = errors.New("no answer")

// RefusedError is what a daemon says against a command.
type RefusedError struct {
	Words string // may have several lines
}

func (e *RefusedError) Error() string { return e.Words }

// Ask has the daemon behind a socket run a command, and returns what it prints: JSON-RPC 1.0 (RFC
// 7047, 4.1), where arguments and answer are text (unixctl.c of Open vSwitch). All of the answer is
// held at once. Errors: the socket, the end of ctx, or a *RefusedError.
func Ask(ctx context.Context, socket, command string, args ...string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	answer, err := ask(conn, command, append([]string{}, args...))
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return answer, nil
}

// ask says one question on a connection, and reads the answer.
func ask(conn net.Conn, command string, args []string) (string, error) {
	request := map[string]any{"method": command, "params": args, "id": 0}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return "", err
	}
	var reply struct{ Result, Error *string }
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return "", err
	}
	switch {
	case reply.Error != nil:
		return "", &RefusedError{strings.TrimSpace(*reply.Error)}
	case reply.Result == nil:
		return "", errNoAnswer
	}
	return *reply.Result, nil
}
