package main

// The sides: each an Open vSwitch of its own with the same ports, wires and hosts, and another
// program. measureAll makes one after the other and closes them.
//
// Invariant: sides share nothing but the machine. Each switch has a network namespace of its own,
// which has a datapath and a connection tracker of its own.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/testnet"
)

const (
	bridge    = "br-int"
	iperfPort = 5201
)

// side is one Open vSwitch with its hosts.
type side struct {
	name    string
	dir     string
	sw      *testnet.Switch
	clients *testnet.Namespace // of all
	// The first server of each client, the second of each, and so on: in each there is one way to a
	// client.
	servers [servers]*testnet.Namespace
	idle    *testnet.Namespace
	ended   []func() error
}

// program is what a side does with packets.
type program struct {
	name string
	load func(context.Context, *side, options) error
}

// programs are those of all sides that were asked for.
func programs(o options) []program {
	all := []program{{"NORMAL", loadNormal}, {"one zone", loadOneZone}, {"two zones", loadTwoZones},
		{"Portcullis", loadDaemon(o.program)}}
	if o.against != "" {
		all = append(all, program{"another build", loadDaemon(o.against)})
	}
	all = append(all, program{"OVN", loadOVN})
	if o.sides == nil {
		return all
	}
	return slices.DeleteFunc(all, func(p program) bool { return !slices.Contains(o.sides, p.name) })
}

func isOVN(p program) bool { return p.name == "OVN" }

func newSide(ctx context.Context, p program, o options) (*side, error) {
	dir, err := os.MkdirTemp("", "pcl")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s := &side{name: p.name, dir: dir}
	s.ended = append(s.ended, func() error { return os.RemoveAll(dir) })
	if err := s.build(ctx, p, o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w%s", p.name, err, s.lastWords()), s.close())
	}
	return s, nil
}

// lastWords is the end of each log.
func (s *side) lastWords() string {
	const most = 1500
	text := ""
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.log"))
	for _, name := range logs {
		said, _ := os.ReadFile(name)
		text += fmt.Sprintf("\n%s:\n%s", filepath.Base(name), said[max(0, len(said)-most):])
	}
	return text
}

// hosts are all namespaces but that of the switch.
func (s *side) hosts() []**testnet.Namespace {
	out := []**testnet.Namespace{&s.clients, &s.idle}
	for n := range s.servers {
		out = append(out, &s.servers[n])
	}
	return out
}

// host is where instance n is.
func (s *side) host(sc scenario, n int) *testnet.Namespace {
	switch {
	case n < sc.clients():
		return s.clients
	case n < sc.clients()+sc.pairs():
		return s.servers[(n-sc.clients())/sc.clients()]
	}
	return s.idle
}

func (s *side) build(ctx context.Context, p program, o options) error {
	at, err := s.namespace()
	if err != nil {
		return err
	}
	for _, n := range s.hosts() {
		if *n, err = s.namespace(); err != nil {
			return err
		}
	}
	s.sw, err = testnet.StartSwitch(at, s.dir)
	if s.sw != nil {
		s.ended = append(s.ended, s.endSwitch)
	}
	if err != nil {
		return err
	}
	if err := s.wire(o.scenario, o.datapath); err != nil {
		return err
	}
	if err := p.load(ctx, s, o); err != nil {
		return err
	}
	return s.serve(ctx, o)
}

// endSwitch ends the switch together with its datapath, which on the kernel's would outlive it.
func (s *side) endSwitch() error {
	_, err := s.sw.Appctl("exit", "--cleanup")
	s.sw.Close()
	return err
}

// namespace makes one where nothing is said that was not asked for.
func (s *side) namespace() (*testnet.Namespace, error) {
	n, err := testnet.NewNamespace()
	if err != nil {
		return nil, err
	}
	s.ended = append(s.ended, func() error { n.Close(); return nil })
	return n, n.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	})
}

// wire makes the ports of the bridge and what is plugged into them.
func (s *side) wire(sc scenario, datapath string) error {
	kind := ""
	if datapath == userspace {
		kind = "netdev"
	}
	args := []string{"add-br", bridge, "--", "set", "Bridge", bridge,
		fmt.Sprintf("datapath_type=%q", kind), "fail_mode=secure",
		"protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"}
	for n := range sc.Ports {
		host := s.host(sc, n)
		if err := s.plug(host, n); err != nil {
			return fmt.Errorf("port %d: %w", n, err)
		}
		if client, _ := sc.client(n); datapath == userspace || client%2 == 1 {
			if err := s.short(host, n); err != nil {
				return err
			}
		}
		args = append(args, "--", "add-port", bridge, portName(n), "--", "set", "Interface",
			portName(n), fmt.Sprintf("ofport_request=%d", n+1))
	}
	if _, err := s.sw.Run("ovs-vsctl", args...); err != nil {
		return err
	}
	for pair := range sc.pairs() {
		client, server := sc.pair(pair)
		if err := errors.Join(s.introduce(sc, client, server),
			s.introduce(sc, server, client)); err != nil {
			return fmt.Errorf("ports %d and %d: %w", client, server, err)
		}
	}
	return nil
}

func device(n int) string { return fmt.Sprintf("e%d", n) }

// plug makes the wire of instance n.
func (s *side) plug(host *testnet.Namespace, n int) error {
	far, err := os.Open(host.Path())
	if err != nil {
		return fmt.Errorf("find the namespace: %w", err)
	}
	defer far.Close()
	own, _ := net.ParseMAC(mac(n))
	near := s.sw.Namespace.Links
	if err := near.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: portName(n), MTU: 1500},
		PeerName: device(n), PeerHardwareAddr: own,
		PeerNamespace: netlink.NsFd(int(far.Fd()))}); err != nil {
		return fmt.Errorf("make the wire: %w", err)
	}
	here, err := near.LinkByName(portName(n))
	if err != nil {
		return err
	}
	there, err := host.Links.LinkByName(device(n))
	if err != nil {
		return err
	}
	return errors.Join(near.LinkSetUp(here), host.Links.LinkSetUp(there),
		host.Links.AddrAdd(there, &netlink.Addr{IPNet: ownOnly(n)}))
}

// ownOnly is the address of an instance, as a network of its own.
func ownOnly(n int) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(address(n)).To4(), Mask: net.CIDRMask(32, 32)}
}

// introduce gives an instance the way to another one.
func (s *side) introduce(sc scenario, n, to int) error {
	links := s.host(sc, n).Links
	d, err := links.LinkByName(device(n))
	if err != nil {
		return err
	}
	hardware, _ := net.ParseMAC(mac(to))
	return errors.Join(
		links.RouteAdd(&netlink.Route{LinkIndex: d.Attrs().Index, Dst: ownOnly(to),
			Src: ownOnly(n).IP, Scope: netlink.SCOPE_LINK}),
		links.NeighAdd(&netlink.Neigh{LinkIndex: d.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: ownOnly(to).IP, HardwareAddr: hardware}))
}

// short has both ends of a wire send packets that are as long as the wire takes, with checksums.
func (s *side) short(host *testnet.Namespace, n int) error {
	for _, end := range []struct {
		at     *testnet.Namespace
		device string
	}{{s.sw.Namespace, portName(n)}, {host, device(n)}} {
		if err := end.at.Do(func() error { return offloadsOff(end.device) }); err != nil {
			return fmt.Errorf("switch the offloads of %s off: %w", end.device, err)
		}
	}
	return nil
}

// serve starts the servers. iperf3 takes one client at a time.
func (s *side) serve(ctx context.Context, o options) error {
	for n := range streams {
		_, server := o.scenario.pair(n)
		p, err := s.servers[0].Start(filepath.Join(s.dir, "iperf3.log"), os.Environ(), "iperf3", "-s",
			"-B", address(server), "-p", fmt.Sprint(iperfPort))
		if err != nil {
			return err
		}
		s.ended = append(s.ended, func() error { return p.End(syscall.SIGKILL) })
	}
	for _, at := range s.servers {
		cmd, out, err := s.peer(ctx, at, o, "serve")
		if err != nil {
			return err
		}
		s.ended = append(s.ended, func() error {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return nil
		})
		if line, err := out.ReadString('\n'); err != nil {
			return fmt.Errorf("the server says %q: %w", line, err)
		}
	}
	return nil
}

// peer runs this program in a namespace.
func (s *side) peer(ctx context.Context, at *testnet.Namespace, o options, what string) (*exec.Cmd,
	*bufio.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, measure.PeerCommand, what, o.each.String(),
		fmt.Sprint(o.scenario.Ports), string(o.clock))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start a peer: %w", err)
	}
	if err := at.Do(cmd.Start); err != nil {
		return nil, nil, fmt.Errorf("start a peer: %w", err)
	}
	return cmd, bufio.NewReader(out), nil
}

func (s *side) close() error {
	var failed []error
	for _, end := range slices.Backward(s.ended) {
		failed = append(failed, end())
	}
	return errors.Join(failed...)
}

// loadDaemon runs the daemon until the switch is programmed.
func loadDaemon(program string) func(context.Context, *side, options) error {
	return func(ctx context.Context, s *side, o options) error {
		file, socket, err := s.settings(o)
		if err != nil {
			return err
		}
		p, err := s.sw.Namespace.Start(filepath.Join(s.dir, "portcullis.log"), s.sw.Env(), program,
			"run", "--config", file)
		if err != nil {
			return err
		}
		s.ended = append(s.ended, func() error { return p.End(syscall.SIGTERM) })
		if err := p.Answers(socket); err != nil {
			return err
		}
		_, err = api.NewClient(socket).Settle(ctx, testnet.Slowed(measure.Patience))
		return err
	}
}

// settings writes the policy and the settings, and returns where these are and where the API will
// be.
func (s *side) settings(o options) (file, socket string, err error) {
	folder, socket := filepath.Join(s.dir, "policy"), filepath.Join(s.dir, "api.sock")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", "", fmt.Errorf("make a folder: %w", err)
	}
	if err := o.scenario.write(folder); err != nil {
		return "", "", err
	}
	kind := `""`
	if o.datapath == userspace {
		kind = "netdev"
	}
	// The clients open more in seconds than an instance may by default.
	text := fmt.Sprintf("bridge: %s\ndatapath_type: %s\nhost: %s\npolicy: policy\novsdb: %s\n"+
		"openflow: %s\napi: unix:%s\nmetrics: \"\"\nlimits: {connections: 0}\n", bridge, kind,
		localHost, s.sw.Database(), s.sw.Management(bridge), socket)
	file = filepath.Join(s.dir, "portcullis.yaml")
	return file, socket, os.WriteFile(file, []byte(text), 0o600)
}
