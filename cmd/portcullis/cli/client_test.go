package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnansweredSaysWhatToDo(t *testing.T) {
	f := Files{Config: "settings.yaml"}
	require.ErrorContains(t, f.Unanswered(&os.PathError{Err: syscall.EACCES}), "sudo")
	require.ErrorContains(t, f.Unanswered(context.DeadlineExceeded), "journalctl")
	other := errors.New("the daemon speaks \"v2\"")
	require.Equal(t, other, f.Unanswered(other))
	require.NoError(t, f.Unanswered(nil))
}

func TestUnitOfASettingsFile(t *testing.T) {
	require.Equal(t, "portcullis@br-ext", (&Files{Config: "/etc/portcullis/br-ext.yaml"}).Unit())
	require.Equal(t, "portcullis", (&Files{Config: DefaultConfig}).Unit())
	require.Equal(t, "portcullis", (&Files{Config: "other.yaml"}).Unit())
}
