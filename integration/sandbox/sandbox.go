package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Datapath says which packet-moving code ovs-vswitchd may use.
type Datapath string

const (
	// Kernel is the datapath of the openvswitch kernel module (datapath_type "").
	Kernel Datapath = ""
	// Netdev is the userspace datapath: real devices, no kernel module.
	Netdev Datapath = "netdev"
	// Dummy has no devices at all: every interface is simulated inside ovs-vswitchd and
	// needs no privilege.
	Dummy Datapath = "dummy"
)

// Daemons says which daemons Start brings up; the others may be started later.
type Daemons int

const (
	// Both starts ovsdb-server and ovs-vswitchd.
	Both Daemons = iota
	// DatabaseOnly starts ovsdb-server alone.
	DatabaseOnly
)

// timeout bounds one command and the start or end of one daemon.
const timeout = 2 * time.Minute

// poll is the pause between two looks at a state that has no notification.
const poll = 5 * time.Millisecond

// maxSocketDir keeps every socket path in the run directory below the 108 bytes of
// sockaddr_un; the longest name is "<bridge>.mgmt" or "ovs-vswitchd.ctl".
const maxSocketDir = 60

// Options say what Start brings up. The zero value is the kernel datapath with both daemons.
type Options struct {
	// Datapath is the datapath ovs-vswitchd is started for. Bridges still name their own
	// datapath_type; with Dummy every type is simulated.
	Datapath Datapath
	// Daemons are started by Start.
	Daemons Daemons
	// Namespace is the name of an existing network namespace (as in `ip netns`) that
	// ovs-vswitchd runs in; "" is the namespace of the test process. Two instances with
	// Netdev or Kernel and a bridge of the same name need different namespaces.
	Namespace string
}

// OVS is one private Open vSwitch. Its methods end the test when a command fails; they must
// be called from the goroutine of the test, Exec excepted.
type OVS struct {
	// Dir is the run, database, log and configuration directory.
	Dir string
	// DB is the OVSDB endpoint, "unix:<path>".
	DB string

	t        testing.TB
	opts     Options
	db       *daemon
	vswitchd *daemon
	// databases are the files that ovsdb-server serves beside that of Open vSwitch
	databases []string
	syncs     int
}

// Start brings up a private Open vSwitch that ends with the test.
func Start(t testing.TB, opts Options) *OVS {
	t.Helper()
	Require(t)
	dir := shortTempDir(t)
	o := &OVS{Dir: dir, DB: "unix:" + filepath.Join(dir, "db.sock"), t: t, opts: opts}
	t.Cleanup(o.stop)
	o.run("ovsdb-tool", "create", o.path("conf.db"), schemaPath())
	o.StartDB()
	o.run("ovs-vsctl", "--no-wait", "--db="+o.DB, "--", "init",
		"--", "set", "Open_vSwitch", ".", "ovs-version="+o.version())
	if opts.Daemons == Both {
		o.StartVswitchd()
	}
	return o
}

// Require ends the test unless Open vSwitch is installed: it skips with the reason, or fails
// where a skip is forbidden (CI=true or PORTCULLIS_REQUIRE_OVS=1).
func Require(t testing.TB) {
	t.Helper()
	switch reason := missing(); {
	case reason == "":
	case os.Getenv("CI") == "true" || os.Getenv("PORTCULLIS_REQUIRE_OVS") == "1":
		t.Fatalf("Open vSwitch is required here: %s", reason)
	default:
		t.Skipf("SKIPPED, NOT TESTED: %s (set PORTCULLIS_REQUIRE_OVS=1 to fail instead)", reason)
	}
}

// missing names the first part of Open vSwitch that is not installed; "" means all are there.
func missing() string {
	for _, tool := range []string{"ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-vswitchd",
		"ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Sprintf("%s is not installed: %v", tool, err)
		}
	}
	if _, err := os.Stat(schemaPath()); err != nil {
		return fmt.Sprintf("the schema of Open vSwitch is missing: %v", err)
	}
	return ""
}

// schemaPath is the schema of the installed Open vSwitch.
func schemaPath() string {
	dir := os.Getenv("OVS_PKGDATADIR")
	if dir == "" {
		dir = "/usr/share/openvswitch"
	}
	return filepath.Join(dir, "vswitch.ovsschema")
}

// shortTempDir is a directory that is removed with the test and whose sockets have short
// paths; testing.TB.TempDir carries the name of the test and grows too long.
func shortTempDir(t testing.TB) string {
	t.Helper()
	parent := os.TempDir()
	if len(parent) > maxSocketDir-20 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "ovs")
	if err != nil {
		t.Fatalf("make a directory for Open vSwitch: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Mgmt is the OpenFlow management target of a bridge, "unix:<path>".
func (o *OVS) Mgmt(bridge string) string {
	return "unix:" + o.path(bridge+".mgmt")
}

// Env is the environment that makes Open vSwitch's tools use this instance.
func (o *OVS) Env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+o.Dir, "OVS_DBDIR="+o.Dir, "OVS_LOGDIR="+o.Dir,
		"OVS_SYSCONFDIR="+o.Dir)
}

// Exec runs any tool with Env and returns its standard output; the error carries the whole
// command and what it said. It may be called from any goroutine.
func (o *OVS) Exec(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = o.Env()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err,
			strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Vsctl runs ovs-vsctl and returns its output. It waits for ovs-vswitchd to follow a change
// only while that daemon runs, and never when nothing changes (see Sync).
func (o *OVS) Vsctl(args ...string) string {
	o.t.Helper()
	flags := []string{"--db=" + o.DB, "--timeout=120"}
	if o.vswitchd == nil {
		flags = append(flags, "--no-wait")
	}
	return o.run("ovs-vsctl", append(flags, args...)...)
}

// Sync returns when ovs-vswitchd has followed every change that is in the database now. Only
// a further change makes ovs-vsctl wait: it counts in the external_ids of Open_vSwitch.
func (o *OVS) Sync() {
	o.t.Helper()
	o.syncs++
	o.Vsctl("set", "Open_vSwitch", ".", fmt.Sprintf("external_ids:sandbox-sync=%d", o.syncs))
}

// Ofctl runs ovs-ofctl with OpenFlow 1.5 and returns its output. A bridge is given by name.
func (o *OVS) Ofctl(args ...string) string {
	o.t.Helper()
	return o.run("ovs-ofctl", append([]string{"-O", "OpenFlow15"}, args...)...)
}

// Appctl runs ovs-appctl on ovs-vswitchd and returns its output.
func (o *OVS) Appctl(args ...string) string {
	o.t.Helper()
	return o.run("ovs-appctl", append([]string{"-t", o.path("ovs-vswitchd.ctl")}, args...)...)
}

// run runs a tool and ends the test when it fails.
func (o *OVS) run(name string, args ...string) string {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	out, err := o.Exec(ctx, name, args...)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// version is the version of the installed ovs-vswitchd, "3.1.0".
func (o *OVS) version() string {
	o.t.Helper()
	fields := strings.Fields(o.run("ovs-vswitchd", "--version"))
	if len(fields) < 4 {
		o.t.Fatalf("ovs-vswitchd --version says %q", fields)
	}
	return fields[3]
}

func (o *OVS) path(name string) string { return filepath.Join(o.Dir, name) }
