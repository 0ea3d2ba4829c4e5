package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
)

func TestTop(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	got := call(t, "top", "-o", "json", "--config", d.settings)
	require.Equal(t, 0, got.code, got.errOut)
	var counts api.Counts
	require.NoError(t, json.Unmarshal([]byte(got.out), &counts))
	require.Len(t, counts.Ports, 2)
	require.NotEmpty(t, counts.Rules)
	require.False(t, counts.Since.IsZero())
	require.Contains(t, call(t, "top", "--config", d.settings).out, "ADMITTED")
	require.Equal(t, 2, call(t, "top", "--rows", "0").code)

	watching := exec.Command(command, "top", "--watch", "-o", "json", "--config", d.settings)
	out, err := watching.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, watching.Start())
	looks := json.NewDecoder(out)
	look := func() (counts api.Counts) {
		require.NoError(t, looks.Decode(&counts))
		return counts
	}
	require.False(t, look().At.IsZero())
	require.False(t, look().At.IsZero())
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	for n := 0; look().Error == ""; n++ {
		require.Less(t, n, 10, "a daemon that is gone is told of")
	}
	require.NoError(t, watching.Process.Signal(os.Interrupt))
	require.NoError(t, watching.Wait(), "exit code 0")
}
