package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/testnet"
)

// pair is the same figure of the pipeline and of one NORMAL flow: medians of rounds in turn.
type pair struct {
	Pipeline float64        `json:"pipeline"`
	Normal   float64        `json:"normal"`
	Ratios   measure.Series `json:"ratios,omitempty"` // of each round
}

// ratio is the median of the rounds' ratios: what slows the machine down for a while meets both
// sides of a round.
func (p pair) ratio() float64 {
	if len(p.Ratios) > 0 {
		return p.Ratios.Median()
	}
	if p.Normal == 0 {
		return 0
	}
	return p.Pipeline / p.Normal
}

// traffic is what the datapath does, between two instances of one host.
type traffic struct {
	Rounds     int  `json:"rounds"`
	Throughput pair `json:"tcp_mbit_per_s"`
	Trips      pair `json:"round_trips_per_s"`
	Connects   pair `json:"new_connections_per_s"`
	// Flows of the datapath after 1,000 connections on 100 ports, and after somebody beyond the uplink
	// knocked at 1,000 closed ports.
	Scattered pair `json:"datapath_flows_of_connections"`
	Scanned   pair `json:"datapath_flows_of_a_scan"`
}

func (t *traffic) print(out io.Writer) {
	line := func(name string, p pair) {
		fmt.Fprintf(out, "%-46s pipeline %9.0f  NORMAL %9.0f  ratio %.2f\n", name, p.Pipeline, p.Normal,
			p.ratio())
	}
	line("TCP, Mbit/s", t.Throughput)
	line("round trips/s", t.Trips)
	line("new connections/s", t.Connects)
	line("datapath flows, 1,000 connections on 100 ports", t.Scattered)
	line("datapath flows, scan of 1,000 closed ports", t.Scanned)
}

// side is one bridge with two hosts, and one beyond.
type side struct {
	bridge, letter         string
	client, server, beyond *testnet.Namespace
	address                string // of the server
}

// yard is two bridges of one ovs-vswitchd on the userspace datapath: one of the daemon's, one with
// a NORMAL flow.
type yard struct {
	dir    string
	sw     *testnet.Switch
	sides  [2]*side // the pipeline's, NORMAL's
	peers  []*exec.Cmd
	daemon *exec.Cmd
}

func measureTraffic(ctx context.Context, chosen size, o options) (t *traffic, err error) {
	dir, err := os.MkdirTemp("", "pcb")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	y := &yard{dir: dir}
	defer func() { err = errors.Join(err, y.close()) }()
	if err := y.build(chosen.scenario, o); err != nil {
		return nil, err
	}
	t = &traffic{Rounds: chosen.rounds}
	if err := y.rates(ctx, t); err != nil {
		return nil, err
	}
	return t, y.datapathFlows(ctx, t)
}

// host gives a host of a side its number, and with it name, MAC and address.
func host(letter string, n int) testnet.HostSpec {
	return testnet.HostSpec{Name: fmt.Sprintf("%s%d", letter, n), Port: fmt.Sprintf("%s%d", letter, n),
		MAC:       policy.MAC{2, 0, 0, 0, 0, byte(n)},
		Addresses: []netip.Addr{netip.MustParseAddr(address(n))}}
}

// beyondNumber is the host beyond the uplink: no group has its address.
const beyondNumber = 0xf0

func (y *yard) build(sc scenario, o options) error {
	n, err := testnet.NewNamespace()
	if err != nil {
		return err
	}
	if y.sw, err = testnet.StartSwitch(n, y.dir); err != nil {
		return err
	}
	y.sides = [2]*side{{bridge: bridge, letter: "p"}, {bridge: "br-normal", letter: "n"}}
	for _, s := range y.sides {
		if err := y.wire(s); err != nil {
			return err
		}
	}
	if _, err := y.sw.Run("ovs-ofctl", "add-flow", y.sides[1].bridge, "actions=NORMAL"); err != nil {
		return err
	}
	if err := y.startDaemon(sc, o.program); err != nil {
		return err
	}
	for _, s := range y.sides {
		if err := y.serve(s); err != nil {
			return err
		}
	}
	return nil
}

func (y *yard) wire(s *side) error {
	args := []string{"add-br", s.bridge, "--", "set", "Bridge", s.bridge, "datapath_type=netdev",
		"fail_mode=secure",
		"protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"}
	for _, end := range []struct {
		number int
		ns     **testnet.Namespace
	}{{0, &s.client}, {1, &s.server}, {beyondNumber, &s.beyond}} {
		h := host(s.letter, end.number)
		var err error
		if *end.ns, err = testnet.NewBareHost(y.sw.Namespace, h); err != nil {
			return err
		}
		args = append(args, "--", "add-port", s.bridge, h.Port)
	}
	s.address = address(1)
	_, err := y.sw.Run("ovs-vsctl", args...)
	return err
}

// startDaemon runs the daemon with the policy of the scenario, of which the first two local
// instances are in one group.
func (y *yard) startDaemon(sc scenario, program string) error {
	folder := filepath.Join(y.dir, "policy")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	sc.Ports = 2
	if err := sc.write(folder); err != nil {
		return err
	}
	local := "instances:\n" + instance(0, localHost, []string{"g0"}) + instance(1, localHost,
		[]string{"g0"})
	socket := filepath.Join(y.dir, "api.sock")
	settings := fmt.Sprintf(
		"bridge: %s\ndatapath_type: netdev\nhost: %s\nuplinks: [p%d]\npolicy: policy\novsdb: %s\nopenflow: %s\napi: unix:%s\nmetrics: \"\"\n"+
			"limits: {connections: 0}\n", // its clients open more in seconds than an instance may by default
		bridge, localHost, beyondNumber, y.sw.Database(), y.sw.Management(bridge), socket)
	for path, text := range map[string]string{filepath.Join(folder, "local.yaml"): local,
		filepath.Join(y.dir, "portcullis.yaml"): settings} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the settings: %w", err)
		}
	}
	y.daemon = exec.Command(program, "run", "--config", filepath.Join(y.dir, "portcullis.yaml"))
	y.daemon.Env = append(os.Environ(), "OVS_RUNDIR="+y.dir)
	y.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := y.daemon.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	client := api.NewClient(socket)
	// until its socket is there
	for deadline := time.Now().Add(measure.Patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := client.Settle(context.Background(), measure.Patience)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// in runs this program as a peer in a host's namespace.
func in(ctx context.Context, n *testnet.Namespace, args ...string) (*exec.Cmd, *bufio.Reader,
	error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{measure.PeerCommand}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start a peer: %w", err)
	}
	if err := n.Do(cmd.Start); err != nil {
		return nil, nil, fmt.Errorf("start a peer: %w", err)
	}
	return cmd, bufio.NewReader(out), nil
}

// serve starts the server of a side and tries it.
func (y *yard) serve(s *side) error {
	cmd, out, err := in(context.Background(), s.server, "serve", s.address, "0")
	if err != nil {
		return err
	}
	y.peers = append(y.peers, cmd)
	if line, err := out.ReadString('\n'); err != nil {
		return fmt.Errorf("the server of %s says %q: %w", s.bridge, line, err)
	}
	_, err = ask(context.Background(), s.client, "trips", s.address, 0.2)
	return err
}

// ask has a peer measure something.
func ask(ctx context.Context, n *testnet.Namespace, what, address string, seconds float64) (float64,
	error) {
	cmd, out, err := in(ctx, n, what, address, fmt.Sprint(seconds))
	if err != nil {
		return 0, err
	}
	var found float64
	_, scanErr := fmt.Fscan(out, &found)
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("%s to %s: %w", what, address, err)
	}
	return found, scanErr
}

// roundSeconds is how long one figure is measured in one round.
const roundSeconds = 1

// rates measures both sides in turn, so that what else the machine does meets both.
func (y *yard) rates(ctx context.Context, t *traffic) error {
	for _, kind := range []struct {
		name string
		to   *pair
	}{{"stream", &t.Throughput}, {"trips", &t.Trips}, {"connects", &t.Connects}} {
		var found [2]measure.Series
		var ratios measure.Series
		for round := range t.Rounds {
			for n := range y.sides {
				i := (round + n) % len(y.sides) // each begins every other round
				rate, err := ask(ctx, y.sides[i].client, kind.name, y.sides[i].address, roundSeconds)
				if err != nil {
					return err
				}
				found[i] = append(found[i], rate)
			}
			ratios = append(ratios, found[0][round]/found[1][round])
		}
		*kind.to = pair{found[0].Median(), found[1].Median(), ratios}
	}
	return nil
}

// datapathFlows counts what connections and a scan leave in the datapath.
func (y *yard) datapathFlows(ctx context.Context, t *traffic) error {
	for i, s := range y.sides {
		for _, kind := range []struct {
			name string
			from *testnet.Namespace
			to   *pair
		}{{"scatter", s.client, &t.Scattered}, {"scan", s.beyond, &t.Scanned}} {
			if _, err := y.sw.Appctl("dpctl/del-flows"); err != nil {
				return err
			}
			if _, err := ask(ctx, kind.from, kind.name, s.address, 0); err != nil {
				return err
			}
			out, err := y.sw.Appctl("dpctl/dump-flows")
			if err != nil {
				return err
			}
			*[]*float64{&kind.to.Pipeline, &kind.to.Normal}[i] = float64(strings.Count(out, "actions:"))
		}
	}
	return nil
}

func (y *yard) close() error {
	for _, cmd := range append(y.peers, y.daemon) {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	for _, s := range y.sides {
		if s == nil {
			continue
		}
		for _, n := range []*testnet.Namespace{s.client, s.server, s.beyond} {
			if n != nil {
				n.Close()
			}
		}
	}
	if y.sw != nil {
		y.sw.Close()
		y.sw.Namespace.Close()
	}
	return os.RemoveAll(y.dir)
}
