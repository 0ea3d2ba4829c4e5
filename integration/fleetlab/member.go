package fleetlab

import "fmt"

// How members and the relay are made: by the program's own commands.

// newMember makes a member; the first begins the cluster, the others join it.
func (l *Lab) newMember(name string) error {
	m, err := l.newServer(name)
	if err != nil {
		return err
	}
	l.Members = append(l.Members, m)
	args := []string{"init", "--dir", m.Dir, "--name", name, "--cluster", m.cluster()}
	if first := l.Members[0]; m != first {
		args = []string{"join", "--dir", m.Dir, "--cluster", m.cluster(), "--remote", first.cluster()}
		if args, err = m.withCertificate(args, "member"); err != nil {
			return err
		}
	} else if l.options.HasTLS {
		args = append(args, "--tls")
	}
	if _, err := m.db(append(args, m.listens()...)...); err != nil {
		return err
	}
	if l.options.HasSmallDisk && len(l.Members) == l.options.Members {
		if err := m.useDisk(); err != nil {
			return err
		}
	}
	if l.options.HasFakeClock && m == l.Members[0] {
		if err := m.useFakeClock(); err != nil {
			return err
		}
	}
	if err := m.Start(); err != nil {
		return err
	}
	return l.AwaitServing(m)
}

// newRelay makes a relay of all members, and starts it.
func (l *Lab) newRelay(name string) (err error) {
	if l.Relay, err = l.newServer(name); err != nil {
		return err
	}
	args, err := l.Relay.withCertificate([]string{"relay", "--dir", l.Relay.Dir, "--source",
		l.Endpoint(), "--listen", l.Relay.way(clientPort)}, "relay")
	if err != nil {
		return err
	}
	if _, err := l.Relay.db(args...); err != nil {
		return err
	}
	if err := l.Relay.Start(); err != nil {
		return err
	}
	return l.AwaitServing(l.Relay)
}

func (l *Lab) newServer(name string) (*Server, error) {
	n, err := l.newNode(name)
	return &Server{Node: n, lab: l}, err
}

// db runs one of the program's commands db.
func (s *Server) db(args ...string) (string, error) {
	return s.Run(s.lab.options.Program, append([]string{"db"}, args...)...)
}

// cluster is where other members reach this one.
func (s *Server) cluster() string { return fmt.Sprintf("%s:%d", s.Address, clusterPort) }

// listens are the ways in: of hosts, and with TLS that of writers beside it. Without TLS there is
// no difference between them.
func (s *Server) listens() []string {
	flags := []string{"--listen", s.way(clientPort)}
	if s.lab.options.HasTLS {
		flags = append(flags, "--writers", s.way(writerPort))
	}
	return flags
}

func (s *Server) way(port int) string {
	return fmt.Sprintf("p%s:%d:%s", s.lab.protocol(), port, s.Address)
}

func (l *Lab) protocol() string {
	if l.options.HasTLS {
		return "ssl"
	}
	return "tcp"
}

// withCertificate adds a certificate to the flags of a server, if it needs one.
func (s *Server) withCertificate(args []string, kind string) ([]string, error) {
	folder, err := s.lab.certificate(s.Name, "--for", kind, "--address", s.Address.String())
	if err != nil || folder == "" {
		return args, err
	}
	return append(args, "--certificate", folder), nil
}

// certificate has the first member make one for somebody, and returns its folder; "" = none is
// needed.
func (l *Lab) certificate(name string, flags ...string) (string, error) {
	if !l.options.HasTLS {
		return "", nil
	}
	first := l.Members[0]
	_, err := first.db(append([]string{"certificate", name, "--dir", first.Dir}, flags...)...)
	return first.path("issued/" + name), err
}

// Convert makes the running database one of another schema, newer or older: what that one has no
// column for is lost.
func (l *Lab) Convert(schema string) error {
	m := l.Members[0]
	if _, err := m.Run("ovsdb-client", "--timeout=30", "convert", m.Socket(), schema); err != nil {
		return err
	}
	for _, m := range l.Members {
		if err := l.AwaitServing(m); err != nil {
			return err
		}
	}
	return nil
}
