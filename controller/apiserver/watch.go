package apiserver

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// First packets of all hosts, as they come. Hosts keep none, so that a stream that broke goes on
// with what comes next. Invariant: a client that is slow loses packets and is told how many; it
// holds up no host.

const (
	// waitingPackets are kept for a client.
	waitingPackets = 1000
	// againAfter is when a host that stopped answering is asked again.
	againAfter = 5 * time.Second
)

// FirstPacket is the first packet of a connection, and the host that saw it.
type FirstPacket struct {
	Host string `json:"host,omitempty"`
	telemetry.FirstPacket
}

// hostEvent is something that came from a host.
type hostEvent struct {
	packet  *FirstPacket
	missing *hostask.Missing
}

// denied answers packets that were denied.
func (s *Server) denied(r *request) (*reply, error) { return s.watch(r, telemetry.VerdictDenied) }

// packets answers those that were admitted as well, or of the verdict that is asked for.
func (s *Server) packets(r *request) (*reply, error) {
	switch verdict := r.query.Get("verdict"); verdict {
	case "", telemetry.VerdictAdmitted, telemetry.VerdictDenied:
		return s.watch(r, verdict)
	default:
		return nil, problemf(http.StatusBadRequest, "?verdict=%s: must be %s or %s", verdict,
			telemetry.VerdictAdmitted, telemetry.VerdictDenied)
	}
}

// there refuses the name of an instance, a group or a port that is not there for who asks, and a
// protocol that is none: hosts would have nothing of it, and nobody would learn that it is
// misspelt.
func (r *request) there(p *policy.Policy) error {
	word := r.query.Get("protocol")
	if _, isOne := policy.ParseProtocol(strings.ToLower(word)); word != "" && !isOne {
		return problemf(http.StatusBadRequest, "there is no protocol %q: it must be a name such as tcp, or "+
			"a number from 0 to 255", word)
	}
	var instances, groups, ports []string
	for _, i := range p.Instances {
		if isOwn(r.project, i.Name) {
			instances = append(instances, short(r.project, i.Name))
			for _, port := range i.Ports {
				ports = append(ports, port.Name)
			}
		}
	}
	for _, g := range p.Groups {
		if isOwn(r.project, g.Name) && !g.IsNetwork {
			groups = append(groups, short(r.project, g.Name))
		}
	}
	for _, one := range []struct {
		key   string
		names []string
	}{{"instance", instances}, {"group", groups}, {"port", ports}} {
		name := r.query.Get(one.key)
		if name != "" && !slices.Contains(one.names, short(r.project, full(r.project, name))) {
			return problemf(http.StatusNotFound, "there is no %s %q here%s", one.key, name,
				wording.DidYouMean(name, one.names))
		}
	}
	return nil
}

// watch answers first packets of a verdict.
func (s *Server) watch(r *request, verdict string) (*reply, error) {
	p, _, err := s.DB.Readable()
	if err == nil {
		err = r.there(p)
	}
	if err != nil {
		return nil, err
	}
	q := telemetry.WatchQuery{Verdict: verdict, From: r.end(p, "from"), To: r.end(p, "to"),
		Group: r.end(p, "group"), Port: r.query.Get("port"), Instance: r.end(p, "instance"),
		Protocol: r.query.Get("protocol")}
	return &reply{stream: func(ctx context.Context, w io.Writer) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return s.relay(ctx, r, w, s.listen(ctx, r, p, q))
	}}, nil
}

// listen has all hosts tell what they see.
func (s *Server) listen(ctx context.Context, r *request, p *policy.Policy,
	q telemetry.WatchQuery) <-chan hostEvent {
	out := make(chan hostEvent, waitingPackets)
	for _, one := range s.sources(ctx, p, r.project) {
		if one.Client == nil {
			none := r.missing([]hostask.Missing{{Host: one.Name, Why: one.Why}})[0]
			go func() {
				select {
				case out <- hostEvent{missing: &none}:
				case <-ctx.Done():
				}
			}()
			continue
		}
		go func() {
			for ctx.Err() == nil {
				err := one.Client.Watch(ctx, q, func() {}, func(packet telemetry.FirstPacket) error {
					r.offer(out, one.Name, packet)
					return ctx.Err()
				})
				if ctx.Err() != nil || hostask.IsNotThere(err) {
					return
				}
				why := "it has ended"
				if err != nil {
					why = err.Error()
				}
				select {
				case out <- hostEvent{missing: &r.missing([]hostask.Missing{{Host: one.Name, Why: why}})[0]}:
				default: // the client is slow: what matters is that it is asked again
				}
				select {
				case <-ctx.Done():
				case <-time.After(againAfter):
				}
			}
		}()
	}
	return out
}

// offer passes a packet on that who asks may see, unless the client is too slow.
func (r *request) offer(out chan<- hostEvent, host string, p telemetry.FirstPacket) {
	if p.Verdict != telemetry.VerdictNote && !isOwn(r.project, p.Instance) {
		return
	}
	if r.project != "" {
		host = ""
		if !isOwn(r.project, p.From) {
			p.From = ""
		}
		if !isOwn(r.project, p.To) {
			p.To = ""
		}
	}
	p.Instance, p.From, p.To = short(r.project, p.Instance), short(r.project, p.From),
		short(r.project, p.To)
	select {
	case out <- hostEvent{packet: &FirstPacket{host, p}}:
	default:
	}
}

// relay writes what is heard until the client goes, or may not listen any more.
func (s *Server) relay(ctx context.Context, r *request, w io.Writer, from <-chan hostEvent) error {
	alive := time.NewTicker(pulse)
	defer alive.Stop()
	changed := s.news.next()
	for n := 1; ; {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-from:
			kind, data := "packet", any(h.packet)
			if h.missing != nil {
				kind, data = "missing", h.missing
			}
			err = writeEvent(w, kind, n, data)
			n++
		case <-changed:
			changed = s.news.next()
			err = s.stillMay(r.who)
		case <-alive.C:
			if err = s.stillMay(r.who); err == nil {
				_, err = io.WriteString(w, alivePulse)
			}
		}
		if err != nil {
			return err
		}
	}
}
