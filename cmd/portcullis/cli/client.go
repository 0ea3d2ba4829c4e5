package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/api"
)

// How commands ask the daemon over its socket: once, or again and again with --watch. A daemon that
// does not answer is explained.

// Client returns a client of the daemon that runs with the same settings.
func (f *Files) Client() (*api.Client, error) {
	socket, err := f.Socket()
	if err != nil {
		return nil, err
	}
	return api.NewClient(socket), nil
}

// Socket is the path of the daemon's API.
func (f *Files) Socket() (string, error) {
	settings, err := f.Settings()
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(settings.API, "unix:"), nil
}

// Unit is the daemon's unit of systemd.
func (f *Files) Unit() string {
	if bridge := config.BridgeOf(f.Config); bridge != "" {
		return "portcullis@" + bridge
	}
	return "portcullis"
}

// Unanswered says what to do about a daemon that cannot be asked, in front of the error; it leaves
// every other error alone.
func (f *Files) Unanswered(err error) error {
	socket, _ := f.Socket()
	unit := f.Unit()
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
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		advice = fmt.Sprintf("it accepts the question but gives no answer.\nLook what it does: "+
			"journalctl -u %s -n 50", unit)
	default:
		return err
	}
	return fmt.Errorf("the daemon does not answer: %w\n%s\nThe flows on the switch stay as they "+
		"are meanwhile", err, advice)
}

// AskTimeout bounds a question to the daemon or to the switch.
const AskTimeout = 10 * time.Second

// Bounded is a context for one question.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, AskTimeout)
}
