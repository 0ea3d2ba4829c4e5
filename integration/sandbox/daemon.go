package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// minUptime is the age of the machine, in seconds, from which ovs-vswitchd starts its
// upcall threads for the kernel datapath: OVS 3.1 started earlier never does.
const minUptime = 11

// daemon is one child process in the foreground.
type daemon struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // valid after done
}

// StartDB starts ovsdb-server and returns when it answers.
func (o *OVS) StartDB() {
	o.t.Helper()
	if o.db != nil {
		o.t.Fatal("ovsdb-server already runs")
	}
	args := append([]string{o.path("conf.db"), "--remote=p" + o.DB,
		"--pidfile=" + o.path("ovsdb-server.pid"), "--unixctl=" + o.path("ovsdb-server.ctl"),
		"--log-file=" + o.path("ovsdb-server.log"), "-vconsole:off"}, o.databases...)
	o.db = o.spawn("ovsdb-server", nil, args...)
	o.await(o.db, "db.sock")
}

// AddDatabase has ovsdb-server serve an empty database of a schema, too. It is kept over StopDB.
func (o *OVS) AddDatabase(name string, schema []byte) {
	o.t.Helper()
	file := o.path(name + ".ovsschema")
	if err := os.WriteFile(file, schema, 0o600); err != nil {
		o.t.Fatal(err)
	}
	database := o.path(name + ".db")
	o.run("ovsdb-tool", "create", database, file)
	o.databases = append(o.databases, database)
	o.run("ovs-appctl", "-t", o.path("ovsdb-server.ctl"), "ovsdb-server/add-db", database)
}

// StopDB ends ovsdb-server; the database file stays.
func (o *OVS) StopDB() {
	o.t.Helper()
	o.db = o.end(o.db, syscall.SIGTERM)
}

// KillDB ends ovsdb-server with SIGKILL.
func (o *OVS) KillDB() {
	o.t.Helper()
	o.db = o.end(o.db, syscall.SIGKILL)
}

// StartVswitchd starts ovs-vswitchd and returns when it has read the database.
func (o *OVS) StartVswitchd() {
	o.t.Helper()
	if o.vswitchd != nil {
		o.t.Fatal("ovs-vswitchd already runs")
	}
	args := []string{o.DB, "--pidfile=" + o.path("ovs-vswitchd.pid"), "--unixctl=" +
		o.path("ovs-vswitchd.ctl"),
		"--log-file=" + o.path("ovs-vswitchd.log"), "-vconsole:off"}
	switch o.opts.Datapath {
	case Dummy:
		args = append(args, "--enable-dummy=override", "--disable-system")
	case Netdev:
		args = append(args, "--disable-system")
	case Kernel:
		o.awaitUptime()
	default:
		o.t.Fatalf("unknown datapath %q", o.opts.Datapath)
	}
	var wrapper []string
	if o.opts.Namespace != "" {
		// `ip netns exec` becomes the program it runs: the process id stays the daemon's.
		wrapper = []string{"ip", "netns", "exec", o.opts.Namespace}
	}
	o.vswitchd = o.spawn("ovs-vswitchd", wrapper, args...)
	o.await(o.vswitchd, "ovs-vswitchd.ctl")
	o.Sync()
}

// StopVswitchd ends ovs-vswitchd as the service scripts do: its bridges' devices go with it
// on the netdev datapath and stay on the kernel's.
func (o *OVS) StopVswitchd() {
	o.t.Helper()
	o.vswitchd = o.end(o.vswitchd, syscall.SIGTERM)
}

// KillVswitchd ends ovs-vswitchd with SIGKILL, as a crash does.
func (o *OVS) KillVswitchd() {
	o.t.Helper()
	o.vswitchd = o.end(o.vswitchd, syscall.SIGKILL)
}

// VswitchdPID is the process id of ovs-vswitchd, 0 while it does not run.
func (o *OVS) VswitchdPID() int { return o.vswitchd.pid() }

// DBPID is the process id of ovsdb-server, 0 while it does not run.
func (o *OVS) DBPID() int { return o.db.pid() }

func (d *daemon) pid() int {
	if d == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// spawn starts a child that also ends when the test process dies without cleaning up. The
// kernel ties that wish to the starting thread, so a goroutine holds this thread until the
// child is gone.
func (o *OVS) spawn(name string, wrapper []string, args ...string) *daemon {
	o.t.Helper()
	line := append(append(wrapper, name), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = o.Env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d := &daemon{name: name, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(d.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			d.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		o.t.Fatalf("start %s: %v", name, err)
	}
	return d
}

// await returns when the daemon accepts connections on a socket of the run directory.
func (o *OVS) await(d *daemon, socket string) {
	o.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		conn, err := net.Dial("unix", o.path(socket))
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-d.done:
			o.t.Fatalf("%s ended at once (%v):\n%s", d.name, d.err, o.Log(d.name))
		case <-time.After(poll):
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%s does not answer: %v\n%s", d.name, err, o.Log(d.name))
		}
	}
}

// end signals a daemon, waits until it is gone, and returns nil, its new state.
func (o *OVS) end(d *daemon, signal syscall.Signal) *daemon {
	o.t.Helper()
	if d == nil {
		return nil
	}
	_ = d.cmd.Process.Signal(signal)
	select {
	case <-d.done:
	case <-time.After(timeout):
		_ = d.cmd.Process.Kill()
		<-d.done
		o.t.Errorf("%s did not end within %s of %s", d.name, timeout, signal)
	}
	return nil
}

// Log is what a daemon ("ovsdb-server", "ovs-vswitchd") has logged so far.
func (o *OVS) Log(name string) string {
	text, err := os.ReadFile(o.path(name + ".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends both daemons. The switch first lets go of its devices and its datapath:
// on the kernel datapath these would outlive it.
func (o *OVS) stop() {
	if o.vswitchd != nil {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_, err := o.Exec(ctx, "ovs-appctl", "-t", o.path("ovs-vswitchd.ctl"), "exit", "--cleanup")
		if err != nil {
			_ = o.vswitchd.cmd.Process.Kill()
		}
	}
	o.vswitchd = o.end(o.vswitchd, 0)
	o.db = o.end(o.db, syscall.SIGTERM)
}

// awaitUptime waits until the machine is old enough for ovs-vswitchd's upcall threads.
func (o *OVS) awaitUptime() {
	o.t.Helper()
	for {
		age, err := uptime()
		if err != nil {
			o.t.Fatal(err)
		}
		if age >= minUptime {
			return
		}
		time.Sleep(time.Duration((minUptime - age) * float64(time.Second)))
	}
}

// uptime is the age of the machine in seconds.
func uptime() (float64, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, fmt.Errorf("read the machine's age: %w", err)
	}
	age, err := strconv.ParseFloat(strings.Fields(string(text) + " ")[0], 64)
	if err != nil {
		return 0, fmt.Errorf("read the machine's age: %w", err)
	}
	return age, nil
}
