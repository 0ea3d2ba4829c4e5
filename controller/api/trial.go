package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/generation"
)

// This file is policies on trial: who asks the daemon to take a policy back unless it is confirmed.
// Server and client share it. Invariant: an answer of 200 is on disk.

// trialPath is the policy on trial. GET tells of it; POST begins one, DELETE takes it back now,
// POST to its confirm keeps it. 409 = that cannot be, and why; 404 = this daemon keeps no policies.
const trialPath = "/" + Version + "/trial"

// Trials are the policies on trial of one daemon.
type Trials interface {
	Try(generation.Request) (history.Trial, error)
	// Confirm and Abandon end the trial of the files of a digest; "" = whichever is on trial.
	Confirm(digest string) (history.Trial, error)
	Abandon(digest string) (history.Trial, error)
	Trial() *history.Trial
}

// Trial is the answer about a trial.
type Trial struct {
	Version string         `json:"version"` // [Version]
	Trial   *history.Trial `json:"trial"`   // null = there is none
}

// TryRequest asks for a trial.
type TryRequest struct {
	Digest  string  `json:"digest"` // of the files that are about to be put in place
	Seconds float64 `json:"confirm_seconds"`
	By      string  `json:"by,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// longestRequest bounds what is read of a request, in bytes.
const longestRequest = 64 << 10

func (s Server) handleTrials(mux *http.ServeMux) {
	mux.HandleFunc("GET "+trialPath, func(w http.ResponseWriter, _ *http.Request) {
		if s.Trials == nil {
			refuse(w, problemf(http.StatusNotFound, "this daemon keeps no policies (the setting history)"))
			return
		}
		answer(w, http.StatusOK, Trial{Version, s.Trials.Trial()})
	})
	mux.HandleFunc("POST "+trialPath, s.trialCall(func(req *http.Request) (history.Trial, error) {
		var r TryRequest
		body := json.NewDecoder(io.LimitReader(req.Body, longestRequest))
		body.DisallowUnknownFields()
		if err := body.Decode(&r); err != nil {
			return history.Trial{}, fmt.Errorf("read the request: %w", err)
		}
		return s.Trials.Try(generation.Request{Digest: r.Digest, By: r.By, Note: r.Note,
			Confirm: time.Duration(r.Seconds * float64(time.Second))})
	}))
	mux.HandleFunc("POST "+trialPath+"/confirm", s.trialCall(
		func(req *http.Request) (history.Trial, error) { return s.Trials.Confirm(digestOf(req)) }))
	mux.HandleFunc("DELETE "+trialPath, s.trialCall(
		func(req *http.Request) (history.Trial, error) { return s.Trials.Abandon(digestOf(req)) }))
}

// digestOf is of the files whose trial is to end; "" = whichever is on trial.
func digestOf(req *http.Request) string { return req.URL.Query().Get("digest") }

// trialCall answers with what a call returns.
func (s Server) trialCall(call func(*http.Request) (history.Trial, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if s.Trials == nil {
			refuse(w, problemf(http.StatusNotFound, "this daemon keeps no policies (the setting history)"))
			return
		}
		t, err := call(req)
		if err != nil {
			refuse(w, problemf(http.StatusConflict, "%v", err))
			return
		}
		answer(w, http.StatusOK, Trial{Version, &t})
	}
}

// statusOf is a status, with what is on trial.
func (s Server) statusOf(snapshot *agent.Snapshot) *Status {
	out := statusOf(snapshot)
	if s.Trials != nil {
		out.Trial = s.Trials.Trial()
	}
	return out
}

// Try begins a trial of files that are about to be put in place.
func (c *Client) Try(ctx context.Context, r TryRequest) (*history.Trial, error) {
	return c.trial(ctx, http.MethodPost, trialPath, r)
}

// Confirm keeps the policy on trial, if its files have the digest; "" = whichever it is.
func (c *Client) Confirm(ctx context.Context, digest string) (*history.Trial, error) {
	return c.trial(ctx, http.MethodPost, trialPath+"/confirm"+naming(digest), nil)
}

// Abandon takes the policy on trial back now, if its files have the digest; "" = whichever it is.
func (c *Client) Abandon(ctx context.Context, digest string) (*history.Trial, error) {
	return c.trial(ctx, http.MethodDelete, trialPath+naming(digest), nil)
}

func naming(digest string) string {
	if digest == "" {
		return ""
	}
	return "?digest=" + url.QueryEscape(digest)
}

// Trial returns the policy on trial; nil = there is none.
func (c *Client) Trial(ctx context.Context) (*history.Trial, error) {
	return c.trial(ctx, http.MethodGet, trialPath, nil)
}

func (c *Client) trial(ctx context.Context, method, path string, body any) (*history.Trial, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://portcullis"+path,
		bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refused(resp)
	}
	var out Trial
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return out.Trial, nil
}
