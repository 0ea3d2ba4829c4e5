package policyserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Folder holds all that one server has: an absolute path.
type Folder string

// The files of a folder.
const (
	policyName    = "portcullis.db"
	statusName    = "portcullis-status.db"
	serverName    = "server.json"
	socketName    = "db.sock"
	controlName   = "ovsdb-server.ctl"
	frontName     = "hosts.ctl" // the control socket of the relay that hosts reach
	raftName      = "raft.sock"
	tlsName       = "tls"
	authorityName = "authority"
	issuedName    = "issued"
)

// The folders of certificates: those that hosts and their servers show each other, and those of
// members and writers.
const (
	hostsName   = "hosts"
	membersName = "members"
)

func (f Folder) path(names ...string) string {
	return filepath.Join(append([]string{string(f)}, names...)...)
}

// Socket is the endpoint of who is on this machine.
func (f Folder) Socket() string { return "unix:" + f.path(socketName) }

// Server is what server.json says: in which ways the server is reached.
type Server struct {
	Listen  []string `json:"listen"`            // by whom is on the machine, or has its address: they write
	Hosts   []string `json:"hosts,omitempty"`   // by hosts: they read, and write their own status
	Writers []string `json:"writers,omitempty"` // by who writes, with a certificate of the members' authority
	Source  string   `json:"source,omitempty"`  // of a relay: the endpoints of what it passes on
}

// IsRelay says whether the server has no database of its own.
func (s Server) IsRelay() bool { return s.Source != "" }

// Server reads server.json.
func (f Folder) Server() (Server, error) {
	var s Server
	text, err := os.ReadFile(f.path(serverName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("there is no policy database in %s: make one with 'portcullis db init "+
			"--dir %s'", f, f)
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", f.path(serverName), err)
	}
	return s, nil
}

func (f Folder) writeServer(s Server) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.path(serverName), append(text, '\n'), 0o640)
}
