package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/api"
)

// How commands ask the daemon over its socket: once, or again and again with --watch. A daemon that
// does not answer is explained.

// client returns a client of the daemon that runs with the same settings.
func (f *files) client() (*api.Client, error) {
	socket, err := f.socket()
	if err != nil {
		return nil, err
	}
	return api.NewClient(socket), nil
}

// socket is the path of the daemon's API.
func (f *files) socket() (string, error) {
	settings, err := config.LoadSettings(f.config)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(settings.API, "unix:"), nil
}

// unit is the daemon's unit of systemd.
func (f *files) unit() string {
	if bridge := config.BridgeOf(f.config); bridge != "" {
		return "portcullis@" + bridge
	}
	return "portcullis"
}

// unanswered says what to do about a daemon that cannot be asked, in front of the error; it leaves
// every other error alone.
func (f *files) unanswered(err error) error {
	socket, _ := f.socket()
	unit := f.unit()
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOENT):
		advice = fmt.Sprintf("there is no socket %[1]s: the daemon does not run, or runs with "+
			"other settings (the setting api).\n"+
			"Look: systemctl status %[2]s; start it: systemctl start %[2]s", socket, unit)
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = fmt.Sprintf("nobody listens at %[1]s: the daemon has ended without cleaning up.\n"+
			"Look why: journalctl -u %[2]s -n 50; start it: systemctl start %[2]s", socket, unit)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		advice = fmt.Sprintf("%s is its owner's alone, and you are user %d.\nAsk as that user: "+
			"sudo portcullis …", socket, os.Geteuid())
	case errors.Is(err, os.ErrDeadlineExceeded), os.IsTimeout(err):
		advice = fmt.Sprintf("it accepts the question but gives no answer.\nLook what it does: "+
			"journalctl -u %s -n 50", unit)
	default:
		return err
	}
	return fmt.Errorf("the daemon does not answer: %w\n%s\nThe flows on the switch stay as they "+
		"are meanwhile", err, advice)
}

// What status and top share with --watch: they ask again and again, and a daemon that does not
// answer is shown, and asked again.

// watch prints what look returns, at once and after each pause, until Ctrl-C.
func watch(cmd *cobra.Command, f term.Format, pause time.Duration,
	look func(context.Context) (string, error)) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	return term.Watch(ctx, cmd.OutOrStdout(), f, ticker.C, look)
}

// shown is how answers of the daemon are shown.
type shown[T any] struct {
	format term.Format
	text   func(*T) string            // for people
	advise func(failure error) string // the same of a daemon that does not answer
	failed func(failure error) *T     // for machines
}

// block is what one answer gives: text for people, or one line of JSON.
func (s shown[T]) block(answer *T, failure error) (string, error) {
	switch {
	case s.format != term.JSON && failure != nil:
		return s.advise(failure) + "\n", nil
	case s.format != term.JSON:
		return s.text(answer), nil
	case failure != nil:
		answer = s.failed(failure)
	}
	line, err := json.Marshal(answer)
	return string(line) + "\n", err
}

// changes leaves out what was shown last.
type changes struct{ last string }

func (c *changes) of(text string) string {
	if text == c.last {
		return ""
	}
	c.last = text
	return text
}
