package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
)

// growing is a tracker that knows one connection more each time.
type growing struct {
	zone  uint16
	epoch uint32
	asked uint16
}

func (g *growing) Connections(_ context.Context, _ uint16,
	take func(ofswitch.Connection) bool) error {
	g.asked++
	for n := range g.asked {
		take(agenttest.TCPTo(g.zone, g.epoch, flows.RuleOpen, n+1))
	}
	return nil
}

// The stream of first packets: what is watched comes line by line, what is not known is refused,
// and who has enough leaves nothing behind.
func TestWatchStreams(t *testing.T) {
	w, _ := agenttest.Served(t, agenttest.File("a: 80"))
	feed := &telemetry.Feed{}
	_, err := w.Ctl.Settle(t.Context())
	require.NoError(t, err)
	l, err := api.Listen(filepath.Join(t.TempDir(), "watch.sock"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	server := api.Server{Agent: w.Ctl, Feed: feed}
	go func() { ended <- api.Serve(ctx, l, server.Handler()) }()
	lister := &growing{zone: w.Port("a").Zone, epoch: w.Port("a").Epoch}
	go func() {
		ended <- telemetry.HearAdmitted(ctx, lister, w.Ctl.Hub(), feed, logrus.NewEntry(logrus.New()))
	}()
	client := api.NewClient(l.Addr().String())

	enough := errors.New("enough")
	var got []telemetry.FirstPacket
	begun := 0
	err = client.Watch(ctx, telemetry.WatchQuery{Verdict: telemetry.VerdictAdmitted, Port: "a"},
		func() { begun++ }, func(p telemetry.FirstPacket) error {
			if got = append(got, p); len(got) == 2 {
				return enough
			}
			return nil
		})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, begun)
	require.Equal(t, "i-a", got[0].Instance)
	require.False(t, w.Ctl.Snapshot().ShowsDenied, "nobody asked for what is denied")

	for want, q := range map[string]telemetry.WatchQuery{`no port "b" on this host`: {Port: "b"},
		`verdict="maybe": want admitted or denied`: {Verdict: "maybe"}} {
		require.ErrorContains(t, client.Watch(ctx, q, nil, nil), want)
	}
	answer := httptest.NewRecorder()
	api.Server{Agent: w.Ctl}.Handler().ServeHTTP(answer,
		httptest.NewRequest(http.MethodGet, "/v1/watch", nil))
	require.Equal(t, http.StatusNotImplemented, answer.Code)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}
