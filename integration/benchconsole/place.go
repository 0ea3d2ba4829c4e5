package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A policy database and `portcullis serve` before it, both by the program. scenes.go uses them.

// place is where the console is.
type place struct {
	url     string
	session *http.Cookie // an operator's
	db      *policydb.Client
}

var servingAt = regexp.MustCompile(`msg=serving at="?([0-9.:]+)"?`)

// listensAt reads from a server's log where it listens, and goes on reading.
func listensAt(log io.Reader) (string, error) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if found := servingAt.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return "http://" + found[1], nil
		}
	}
	return "", errors.New("serve does not say where it listens")
}

// newPlace starts the database and the server, and makes an operator's token.
func newPlace(ctx context.Context, s *measure.Shim, program string) (*place, error) {
	dir, err := os.MkdirTemp("", "bench-console")
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	folder := filepath.Join(dir, "db")
	endpoint := "unix:" + filepath.Join(folder, "db.sock")
	init := exec.CommandContext(ctx, program, "db", "init", "--dir", folder)
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("db init: %w: %s", err, out)
	}
	if _, err := start(ctx, s, program, "db", "run", "--dir", folder); err != nil {
		return nil, err
	}
	p := &place{}
	if p.db, err = measure.Follow(ctx, s, endpoint); err != nil {
		return nil, err
	}
	log, err := start(ctx, s, program, "serve", "--db", endpoint, "--listen", "127.0.0.1:0",
		"--socket", "")
	if err != nil {
		return nil, err
	}
	if p.url, err = listensAt(log); err != nil {
		return nil, err
	}
	made, err := exec.CommandContext(ctx, program, "token", "create", "--db", endpoint, "-o", "json",
		"--role", "operator").Output()
	var token struct{ Token string }
	if err = errors.Join(err, json.Unmarshal(made, &token)); err != nil {
		return nil, fmt.Errorf("token create: %w", err)
	}
	p.session, err = signIn(ctx, p.url, token.Token)
	return p, err
}

// signIn opens a session, as the page does with a token.
func signIn(ctx context.Context, url, token string) (*http.Cookie, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/session", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	_ = answer.Body.Close()
	if cookies := answer.Cookies(); len(cookies) == 1 {
		return cookies[0], nil
	}
	return nil, fmt.Errorf("sign in: %s", answer.Status)
}

// start starts a command that ends with the measurement, and returns what it says.
func start(ctx context.Context, s *measure.Shim, program string, args ...string) (io.Reader, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return log, nil
}

// put makes a policy the one of the database, and returns when the server answers of it: what a
// server does once with a policy that is all new is no part of what somebody waits for at a page.
func (p *place) put(ctx context.Context, w *policy.Policy) error {
	before, err := p.generation(ctx)
	if err != nil {
		return err
	}
	if _, err := p.db.Change(ctx, policydb.Change{ID: fmt.Sprint("bench-", time.Now().UnixNano()),
		At: time.Now(), By: "bench", From: "bench"},
		func(*policy.Policy) (*policy.Policy, string, error) { return w, "all of it", nil }); err != nil {
		return err
	}
	for end := time.Now().Add(late); time.Now().Before(end); time.Sleep(pause) {
		if now, err := p.generation(ctx); err != nil || now > before {
			return err
		}
	}
	return errors.New("the server does not come to know the policy")
}

// generation is the one that the server answers of.
func (p *place) generation(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/v1/groups?limit=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	req.AddCookie(p.session)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	var page struct {
		Generation int64 `json:"generation"`
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET /v1/groups: %s", answer.Status)
	}
	err = json.NewDecoder(answer.Body).Decode(&page)
	return page.Generation, err
}
