package policyserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The ways in which a server is reached, as ovsdb-server(1) has them for --remote.

// NewServer sorts the ways in by who takes them.
func NewServer(listen, writers []string, source string) (Server, error) {
	s := Server{Listen: []string{}, Writers: writers, Source: source}
	for _, way := range listen {
		if strings.HasPrefix(way, "pssl:") {
			s.Hosts = append(s.Hosts, way)
		} else {
			s.Listen = append(s.Listen, way)
		}
	}
	return s, s.check()
}

func (s Server) check() error {
	for flag, ways := range map[string][]string{"--listen": slices.Concat(s.Listen, s.Hosts),
		"--writers": s.Writers} {
		for _, way := range ways {
			kind, rest, _ := strings.Cut(way, ":")
			isIn := kind == "punix" && filepath.IsAbs(rest) || kind != "punix" && isPort(rest)
			switch {
			case flag == "--writers" && (kind != "pssl" || !isIn):
				return fmt.Errorf("--writers %s: must be pssl:PORT:ADDRESS", wording.Quote(way))
			case kind != "punix" && kind != "ptcp" && kind != "pssl" || !isIn:
				return fmt.Errorf("--listen %s: must be punix:/PATH, ptcp:PORT:ADDRESS or "+
					"pssl:PORT:ADDRESS", wording.Quote(way))
			}
		}
	}
	if s.IsRelay() && len(s.Writers) > 0 {
		return errors.New("--writers: a relay has none; let them reach a member")
	}
	return nil
}

// isPort says whether a text is PORT or PORT:ADDRESS.
func isPort(text string) bool {
	port, address, isBoth := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && (!isBoth || net.ParseIP(strings.Trim(address, "[]")) != nil)
}

// isTLS says whether one of the ways in needs certificates.
func (s Server) isTLS() bool {
	return len(s.Hosts)+len(s.Writers) > 0 || strings.Contains(s.Source, "ssl:")
}

// Endpoints are what hosts call the server, with commas: by TLS if they can, else by what there is.
func (s Server) Endpoints(f Folder) string {
	ways := s.Hosts
	if len(ways) == 0 {
		ways = s.Listen
	}
	out := make([]string, len(ways))
	for n, way := range ways {
		out[n] = endpoint(way)
	}
	if len(out) == 0 {
		return f.Socket()
	}
	return strings.Join(out, ",")
}

// endpoint is what a client calls a way in.
func endpoint(way string) string {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(way, "p"), ":")
	if kind == "unix" {
		return kind + ":" + rest
	}
	port, address, isBoth := strings.Cut(rest, ":")
	if !isBoth {
		address = hostname()
	}
	return kind + ":" + address + ":" + port
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// addresses are those in the ways in, for certificates.
func (s Server) addresses() []string {
	var out []string
	for _, way := range slices.Concat(s.Hosts, s.Writers) {
		_, rest, _ := strings.Cut(way, ":")
		if _, address, isBoth := strings.Cut(rest, ":"); isBoth {
			out = append(out, strings.Trim(address, "[]"))
		}
	}
	return out
}
