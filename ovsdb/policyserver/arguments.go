package policyserver

import (
	"os"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The command lines of ovsdb-server.

// process is one ovsdb-server.
type process struct {
	name    string   // in messages
	control string   // its control socket
	args    []string // of ovsdb-server

	isMember bool // of a cluster
}

// processes are those of a folder: the server, and before a member that hosts reach by TLS the
// relay that they see.
func (f Folder) processes(s Server) []process {
	if s.IsRelay() {
		p := f.process("relay", controlName, s, hostsName)
		p.args = append(p.args, f.path(statusName), "relay:"+policydb.Name+":"+s.Source)
		if len(s.Hosts) > 0 {
			p.args = append(p.args, "--remote="+rowsOf(hostsColumn))
		}
		return []process{p}
	}
	member := f.process("member", controlName, s, membersName)
	member.isMember = true
	member.args = append(member.args, f.path(policyName), f.path(statusName))
	if len(s.Hosts) == 0 {
		return []process{member}
	}
	front := f.process("relay for hosts", frontName, Server{}, hostsName)
	front.args = append(front.args, "relay:"+policydb.Name+":"+f.Socket(),
		"relay:"+policydb.StatusName+":"+f.Socket())
	return []process{member, front} // which lets nobody in yet: keepDoor
}

// process is an ovsdb-server without databases. Its certificates are read anew when they change.
func (f Folder) process(name, control string, s Server, certificates string) process {
	p := process{name: name, control: f.path(control)}
	p.args = []string{"--unixctl=" + p.control, "-vconsole:warn", "-vsyslog:off"}
	if control == controlName {
		p.args = append(p.args, "--remote=punix:"+f.path(socketName))
	}
	for _, way := range s.Listen {
		if strings.HasPrefix(way, "punix:") && way != "punix:"+f.path(socketName) {
			p.args = append(p.args, "--remote="+way)
		}
	}
	if len(s.waysOf(othersColumn)) > 0 {
		p.args = append(p.args, "--remote="+rowsOf(othersColumn))
	}
	files := credentials.In(f.path(tlsName, certificates))
	if _, err := os.Stat(files.Key); err == nil {
		p.args = append(p.args, "--private-key="+files.Key, "--certificate="+files.Certificate,
			"--ca-cert="+files.CA, "--ssl-protocols=TLSv1.2")
	}
	return p
}
