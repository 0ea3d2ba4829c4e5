package exoscale

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v2 "github.com/exoscale/egoscale/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait for a state in these tests.
const patience = time.Minute

// program is the command, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pcexo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "portcullis")
	build := exec.Command("go", "build", "-o", program, "./cmd/portcullis")
	build.Dir = filepath.Join("..", "..")
	if text, err := build.CombinedOutput(); err != nil {
		fmt.Fprintln(os.Stderr, string(text), err)
		return 1
	}
	return m.Run()
}

// cloud is a policy database and a server before it.
type cloud struct {
	t        *testing.T
	dir      string
	endpoint string
	url      string
	server   *exec.Cmd
	signed   int // requests so far
}

const zone = "lab-1"

// policyFile is what is there before a client comes: two projects, one of which shares a group.
const policyFile = `
projects:
  - name: acme
  - name: globex
networks:
  offices: [192.0.2.0/25, "2001:db8:0:1::/64"]
groups:
  - name: globex/balancers
    description: the front of all
    shared: true
    rules:
      - {direction: ingress, protocol: tcp, ports: 443, cidr: offices}
  - name: globex/secret
    external_sources: [198.51.100.0/24]
  - name: acme/lists
    rules:
      - {direction: ingress, protocol: tcp, ports: [80, 443], cidr: [192.0.2.0/24, "2001:db8::/32"]}
      - {direction: egress, protocol: any, cidr: 0.0.0.0/0, description: all of it}
      - {direction: ingress, protocol: sctp, ports: 9, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: "47", cidr: 0.0.0.0/0}
instances:
  - name: acme/app-1
    host: hv1
    ports:
      - {name: tap1, mac: "02:00:00:00:00:11", addresses: [203.0.113.11, "2001:db8:9::11"]}
      - {name: tap2, mac: "02:00:00:00:00:12", addresses: [203.0.113.12]}
  - name: acme/app-2
    host: "-"
    ports:
      - {name: tap3, mac: "02:00:00:00:00:13", addresses: ["2001:db8:9::13"]}
  - name: globex/db-1
    host: hv2
    groups: [globex/secret]
    ports:
      - {name: tap1, mac: "02:00:00:00:00:21", addresses: [203.0.113.21]}
  - name: web-1
    host: hv1
    ports:
      - {name: tap4, mac: "02:00:00:00:00:31", addresses: [203.0.113.31, "2001:db8:9::31"]}
`

// newCloud starts one, with the policy of policyFile.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcexo") // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &cloud{t: t, dir: dir, endpoint: "unix:" + filepath.Join(dir, "db", "db.sock")}
	c.must("db", "init", "--dir", filepath.Join(dir, "db"))
	c.start("db", "run", "--dir", filepath.Join(dir, "db"))
	c.eventually(func() bool {
		_, err := c.call("db", "status", "--db", c.endpoint)
		return err == nil
	})
	c.write("policy.yaml", policyFile)
	c.must("apply", "-f", filepath.Join(dir, "policy.yaml"), "--db", c.endpoint)
	c.write("key", strings.Repeat("0a", 32)+"\n")
	c.serve()
	return c
}

// write makes a file that is its owner's alone.
func (c *cloud) write(name, text string) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600))
}

var servingAt = regexp.MustCompile(`msg=serving at="?([0-9.:]+)"?`)

// serve starts a server; the one before goes on.
func (c *cloud) serve(flags ...string) {
	c.t.Helper()
	log, at := c.start(append([]string{"serve", "--db", c.endpoint, "--listen", "127.0.0.1:0",
		"--socket", "", "--exoscale-zone", zone, "--secrets-key", filepath.Join(c.dir, "key")},
		flags...)...)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := servingAt.FindStringSubmatch(lines.Text()); found != nil {
			c.url, c.server = "http://"+found[1], at
			break
		}
	}
	require.NoError(c.t, lines.Err())
	go func() { _, _ = io.Copy(io.Discard, log) }()
	c.eventually(func() bool {
		res, err := http.Get(c.url + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	})
}

// start runs the program until the test ends.
func (c *cloud) start(args ...string) (log io.Reader, cmd *exec.Cmd) {
	c.t.Helper()
	cmd = exec.Command(program, args...)
	out, err := cmd.StderrPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	if args[0] == "db" {
		go func() { _, _ = io.Copy(io.Discard, out) }()
	}
	return out, cmd
}

// call runs a command to its end.
func (c *cloud) call(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%v: %w: %s", args, err, errOut.String())
	}
	return out.String(), nil
}

func (c *cloud) must(args ...string) string {
	c.t.Helper()
	out, err := c.call(args...)
	require.NoError(c.t, err)
	return out
}

func (c *cloud) eventually(holds func() bool) {
	c.t.Helper()
	require.Eventually(c.t, holds, patience, 5*time.Millisecond)
}

// pair is a key and its secret.
type pair struct{ Key, Secret string }

// key makes one.
func (c *cloud) key(flags ...string) pair {
	c.t.Helper()
	out := c.must(append([]string{"token", "create", "--exoscale", "--db", c.endpoint,
		"--secrets-key", filepath.Join(c.dir, "key"), "-o", "json"}, flags...)...)
	var made pair
	require.NoError(c.t, json.Unmarshal([]byte(out), &made))
	require.NotContains(c.t, c.must("token", "list", "--db", c.endpoint, "-o", "json"), made.Secret)
	c.eventually(func() bool { return c.send(made, http.MethodGet, "/v2/instance", "").status == 200 })
	return made
}

// client is Exoscale's, for a key.
func (c *cloud) client(p pair) *v2.Client {
	c.t.Helper()
	client, err := v2.NewClient(p.Key, p.Secret, v2.ClientOptWithAPIEndpoint(c.url),
		v2.ClientOptWithPollInterval(time.Millisecond), v2.ClientOptWithTimeout(patience),
		v2.ClientOptWithHTTPClient(&http.Client{}))
	require.NoError(c.t, err)
	return client
}

// exported is the policy, as a policy file.
func (c *cloud) exported() string { return c.must("export", "--db", c.endpoint) }

// inProject names things as the policy does.
func inProject(project string, names ...string) []string {
	for n := range names {
		names[n] = project + "/" + names[n]
	}
	return names
}

// sees waits until the list of groups has exactly these names.
func (c *cloud) sees(client *v2.Client, names ...string) {
	c.t.Helper()
	list, err := client.ListSecurityGroups(c.t.Context(), zone)
	require.NoError(c.t, err)
	var got []string
	for _, g := range list {
		got = append(got, *g.Name)
	}
	slices.Sort(got)
	slices.Sort(names)
	assert.Equal(c.t, names, got)
}

func to[T any](v T) *T { return &v }
