package policyserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// The tools of Open vSwitch.

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
