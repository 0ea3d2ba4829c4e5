package apiclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// What only hosts know, gathered by the server. Invariant: a host that did not answer is named,
// never left out silently.

// Connections lists live connections of all hosts that answered.
func (c *Client) Connections(ctx context.Context,
	q telemetry.ConnectionsQuery) (apiserver.Connections, error) {
	query := asked(map[string]string{"port": q.Port, "instance": q.Instance, "group": q.Group,
		"peer": q.Peer, "protocol": q.Protocol})
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var out apiserver.Connections
	_, err := c.json(ctx, http.MethodGet, c.path("/connections?"+query.Encode()), nil, nil, &out)
	return out, err
}

// Counters returns what all hosts that answered have counted.
func (c *Client) Counters(ctx context.Context) (apiserver.Counters, error) {
	var out apiserver.Counters
	_, err := c.json(ctx, http.MethodGet, c.path("/counters"), nil, nil, &out)
	return out, err
}

// asked are the parameters that say something.
func asked(words map[string]string) url.Values {
	out := url.Values{}
	for name, value := range words {
		if value != "" {
			out.Set(name, value)
		}
	}
	return out
}

// longestEvent bounds an event that is read, in bytes.
const longestEvent = 1 << 20

// errEnded says that a server has ended a stream: it stops, or who asks may not ask any more.
var errEnded = errors.New("it has ended the stream: it stops, or the token is no more")

// Event is something of a stream: the first packet of a connection, or a host that does not answer.
type Event struct {
	Packet  *apiserver.FirstPacket
	Missing *hostask.Missing
}

// Watch hands first packets of all hosts to take until ctx ends, and returns nil then, or an error
// of take, or says why there are no more. begun is called once, when the server has begun to tell.
func (c *Client) Watch(ctx context.Context, q telemetry.WatchQuery, begun func(),
	take func(Event) error) error {
	query := asked(map[string]string{"verdict": q.Verdict, "from": q.From, "to": q.To, "group": q.Group,
		"port": q.Port, "instance": q.Instance, "protocol": q.Protocol})
	res, err := c.stream(ctx, c.path("/watch?"+query.Encode()))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	begun()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, longestEvent)
	err = eachEvent(lines, take)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return nil
	}
	return c.unanswered(errors.Join(errEnded, lines.Err()))
}

// stream opens a stream of events, which has no end of time.
func (c *Client) stream(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	endless := *c.http
	endless.Timeout = 0
	res, err := endless.Do(req)
	if err != nil {
		return nil, c.unanswered(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := readAnswer(res.Body)
	if err != nil {
		return nil, c.unanswered(err)
	}
	return nil, c.refused(res, text)
}

// eachEvent hands what comes to take until there is no more. An event that is not known is passed
// over, as a later server may have more.
func eachEvent(lines *bufio.Scanner, take func(Event) error) error {
	kind := ""
	for lines.Scan() {
		if word, isKind := strings.CutPrefix(lines.Text(), "event: "); isKind {
			kind = word
		}
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		var one Event
		var err error
		switch kind {
		case "packet":
			err = json.Unmarshal([]byte(data), &one.Packet)
		case "missing":
			err = json.Unmarshal([]byte(data), &one.Missing)
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("read an event of the API server: %w", err)
		}
		if err := take(one); err != nil {
			return err
		}
	}
	return nil
}

// Members are the names of a group's instances.
func (c *Client) Members(ctx context.Context, group string) ([]string, error) {
	var out []string
	for after := ""; ; {
		var got struct {
			Items []struct{ Name string }
			Next  string
		}
		query := asked(map[string]string{"group": group, "limit": "1000", "after": after})
		_, err := c.json(ctx, http.MethodGet, c.path("/instances?"+query.Encode()), nil, nil, &got)
		if err != nil {
			return nil, err
		}
		for _, i := range got.Items {
			out = append(out, i.Name)
		}
		if after = got.Next; after == "" {
			return out, nil
		}
	}
}
