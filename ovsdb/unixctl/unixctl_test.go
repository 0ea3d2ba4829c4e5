package unixctl_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// patience is longer than any answer here takes.
const patience = time.Minute

// daemon answers one request with what answer writes, and returns its socket and, once it was
// asked, the request.
func daemon(t *testing.T, answer func(net.Conn)) (socket string, asked <-chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "daemon.ctl")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	requests, ended := make(chan string, 1), make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request, _ := bufio.NewReader(conn).ReadString('\n')
		requests <- request
		answer(conn)
	}()
	return socket, requests
}

// says writes a text, and waits until the other side has ended the conversation.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestAsk(t *testing.T) {
	socket, asked := daemon(t, says(`{"id":0,"result":"zone=1,limit=5\n\"q\" é\n","error":null}`))
	out, err := unixctl.Ask(within(t), socket, "dpctl/ct-get-limits", "netdev@ovs-netdev", "zone=1")
	require.NoError(t, err)
	require.Equal(t, "zone=1,limit=5\n\"q\" é\n", out)
	require.JSONEq(t, `{"id":0,"method":"dpctl/ct-get-limits",
		"params":["netdev@ovs-netdev","zone=1"]}`, <-asked)
}

// ovs-vswitchd refuses params that are no array.
func TestAskWithoutArguments(t *testing.T) {
	socket, asked := daemon(t, says(`{"error":null,"id":0,"result":""}`))
	out, err := unixctl.Ask(within(t), socket, "version")
	require.NoError(t, err)
	require.Empty(t, out)
	require.JSONEq(t, `{"id":0,"method":"version","params":[]}`, <-asked)
}

func TestAskRefused(t *testing.T) {
	socket, _ := daemon(t, says(`{"error":"\"x\" is not a valid command\nsee list-commands\n",`+
		`"id":0,"result":null}`))
	_, err := unixctl.Ask(within(t), socket, "x")
	var refused *unixctl.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "\"x\" is not a valid command\nsee list-commands", refused.Words)
	require.EqualError(t, err, "x: "+refused.Words)
}

func TestAskBroken(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":           "",
		"half":              `{"error":null,"id":0,"resu`,
		"no JSON":           "OFPT_HELLO",
		"no answer":         `{"error":null,"id":0,"result":null}`,
		"not text":          `{"error":null,"id":0,"result":5}`,
		"a list":            `[]`,
		"an error in pairs": `{"error":{"a":"b"},"id":0,"result":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			socket, _ := daemon(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer) })
			_, err := unixctl.Ask(within(t), socket, "version")
			require.ErrorContains(t, err, "version: ")
			var refused *unixctl.RefusedError
			require.NotErrorAs(t, err, &refused)
		})
	}
	_, err := unixctl.Ask(within(t), filepath.Join(t.TempDir(), "none.ctl"), "version")
	require.ErrorContains(t, err, "none.ctl")
}

// A daemon that hangs holds nobody longer than the context lasts.
func TestAskEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	socket, _ := daemon(t, func(conn net.Conn) {
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	})
	_, err := unixctl.Ask(ctx, socket, "version")
	require.ErrorIs(t, err, context.Canceled)
}
