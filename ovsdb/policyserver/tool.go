package policyserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
)

// The tools of Open vSwitch, and what a server says at its control socket.

// tool calls a program and returns what it prints. Its last words are the error.
func tool(ctx context.Context, program string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s is needed, of the package openvswitch-common: %w", program, err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		words := strings.TrimSpace(errOut.String())
		if words == "" {
			words = strings.TrimSpace(out.String())
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s %s: %w: %s", program, verb(args), err, words)
	}
	return out.Bytes(), nil
}

// verb is the first argument that is no option.
func verb(args []string) string {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return arg
		}
	}
	return ""
}

// transactFile makes a transaction in a file that no server has open.
func transactFile(ctx context.Context, file string, database string, operations ...any) error {
	text, err := json.Marshal(append([]any{database}, operations...))
	if err != nil {
		return err
	}
	out, err := tool(ctx, "ovsdb-tool", "transact", file, string(text))
	if err != nil {
		return err
	}
	if bytes.Contains(out, []byte(`"error":`)) {
		return fmt.Errorf("%s: %s", file, bytes.TrimSpace(out))
	}
	return nil
}

// control has a server do something that it is asked for at its control socket (ovs-appctl(8)).
func control(ctx context.Context, socket, method string, args ...string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if args == nil {
		args = []string{}
	}
	request := map[string]any{"method": method, "params": args, "id": 0}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return "", fmt.Errorf("%s: %w", method, err)
	}
	var reply struct{ Result, Error *string }
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return "", fmt.Errorf("%s: %w", method, err)
	}
	if reply.Error != nil {
		return "", fmt.Errorf("%s: %s", method, strings.TrimSpace(*reply.Error))
	}
	if reply.Result == nil {
		return "", errors.New(method + ": no answer")
	}
	return *reply.Result, nil
}
