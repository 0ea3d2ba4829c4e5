package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/controller/telemetry"
)

// This file streams first packets, one JSON object a line, and reads them. Invariant: a reader that
// is slow loses packets and is told how many; it holds up nobody.

const (
	// watchPath streams first packets: those for which ?verdict= (admitted, denied), ?from=, ?to=,
	// ?group=, ?port=, ?instance= and ?protocol= hold. The first line has the version. 404 = there
	// is none of that here, 503 = too many watch.
	watchPath = "/" + Version + "/watch"
	// readerTime is how long a reader may take for one line.
	readerTime = 10 * time.Second
	// aliveEvery is how often an empty line says that nothing has come.
	aliveEvery = 5 * time.Second
	// longestLine bounds a line that is read.
	longestLine = 1 << 20
)

// greeting is the first line.
type greeting struct {
	Version string `json:"version"` // [Version]
}

var errNoFeed = errors.New("this daemon shows no first packets")

// watch answers watchPath until the reader goes.
func (s Server) watch(w http.ResponseWriter, req *http.Request) {
	q, err := watchQuery(req.URL.Query())
	if err != nil {
		refuse(w, problemf(http.StatusBadRequest, "%v", err))
		return
	}
	if s.Feed == nil {
		refuse(w, problemf(http.StatusNotImplemented, "%v", errNoFeed))
		return
	}
	watching, err := s.Feed.Subscribe(s.Agent.Snapshot(), q)
	switch {
	case errors.Is(err, telemetry.ErrTooMany):
		refuse(w, problemf(http.StatusServiceUnavailable, "%v", err))
		return
	case err != nil:
		refuse(w, problemf(http.StatusNotFound, "%v", err))
		return
	}
	defer s.Feed.Leave(watching)
	if q.Verdict != telemetry.VerdictAdmitted {
		defer s.Agent.ShowDenied()()
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := lines{w, http.NewResponseController(w)}
	if out.write(greeting{Version}) == nil {
		out.copy(req.Context(), watching)
	}
}

// watchQuery reads what is asked for.
func watchQuery(v url.Values) (telemetry.WatchQuery, error) {
	q := telemetry.WatchQuery{Verdict: v.Get("verdict"), From: v.Get("from"), To: v.Get("to"),
		Group: v.Get("group"), Port: v.Get("port"), Instance: v.Get("instance"),
		Protocol: v.Get("protocol")}
	switch q.Verdict {
	case "", telemetry.VerdictAdmitted, telemetry.VerdictDenied:
		return q, nil
	}
	return q, fmt.Errorf("verdict=%q: want %s or %s", q.Verdict, telemetry.VerdictAdmitted,
		telemetry.VerdictDenied)
}

// lines writes a line at a time to a reader who may be gone.
type lines struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

// copy writes what comes until the reader goes, or ctx ends.
func (l lines) copy(ctx context.Context, from *telemetry.Watching) {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case p := <-from.Packets():
			p.NotShown = from.Lost()
			err = l.write(p)
		case <-alive.C:
			err = l.write(nil)
		}
		if err != nil {
			return
		}
	}
}

// write sends a line; nothing is an empty one.
func (l lines) write(v any) error {
	var text []byte
	if v != nil {
		var err error
		if text, err = json.Marshal(v); err != nil {
			return err
		}
	}
	if err := l.ctrl.SetWriteDeadline(time.Now().Add(readerTime)); err != nil {
		return err
	}
	if _, err := l.w.Write(append(text, '\n')); err != nil {
		return err
	}
	return l.ctrl.Flush()
}

// Watch hands first packets to take until ctx ends, and returns nil then, or an error of take, or
// says why the daemon shows none. begun is called once, when it has begun to watch.
func (c *Client) Watch(ctx context.Context, q telemetry.WatchQuery, begun func(),
	take func(telemetry.FirstPacket) error) error {
	query := url.Values{}
	for name, value := range map[string]string{"verdict": q.Verdict, "from": q.From, "to": q.To,
		"group": q.Group, "port": q.Port, "instance": q.Instance, "protocol": q.Protocol} {
		if value != "" {
			query.Set(name, value)
		}
	}
	resp, err := c.get(ctx, watchPath, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	reader := bufio.NewScanner(resp.Body)
	reader.Buffer(nil, longestLine)
	if err := greeted(reader); err != nil {
		return err
	}
	begun()
	err = eachLine(reader, take)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return nil
	case reader.Err() != nil:
		return fmt.Errorf("the daemon went away: %w", reader.Err())
	}
	return errors.New("the daemon went away")
}

// eachLine hands each first packet to take until there are no more.
func eachLine(reader *bufio.Scanner, take func(telemetry.FirstPacket) error) error {
	for reader.Scan() {
		if len(reader.Bytes()) == 0 {
			continue
		}
		var p telemetry.FirstPacket
		if err := json.Unmarshal(reader.Bytes(), &p); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		if err := take(p); err != nil {
			return err
		}
	}
	return nil
}

// greeted reads the first line.
func greeted(reader *bufio.Scanner) error {
	var hello greeting
	if !reader.Scan() {
		return errors.New("the daemon went away")
	}
	if err := json.Unmarshal(reader.Bytes(), &hello); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	if hello.Version != Version {
		return fmt.Errorf("the daemon speaks %q, not %q", hello.Version, Version)
	}
	return nil
}
