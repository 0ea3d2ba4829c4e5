package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows/policy"
)

// text is an instance as a policy file has it.
func text(i policy.Instance) string {
	i = i.Sorted()
	return string(policyfile.Marshal(&policy.Policy{Instances: []*policy.Instance{&i}}))
}

const web1 = `groups: []
instances:
  - name: web-1
    groups: [admin, web]
    ports:
      - name: tap-web-1
        mac: 52:54:00:00:00:11
        addresses: ["203.0.113.11", "2001:db8::11"]
`

func recorded(t *testing.T, name string) string {
	out, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(out)
}

func TestADomainIsAnInstance(t *testing.T) {
	xml := recorded(t, "domain.xml")
	i, err := ofDomain("web-1", []byte(xml))
	require.NoError(t, err)
	require.Equal(t, web1, text(*i))
	for _, c := range [][3]string{ // what is written, what instead, and what is told
		{"<target dev='tap-web-1'/>", "", "its device has no name that stays"},
		{" addresses='203.0.113.11 2001:db8::11'", "", "no address is written there"},
		{"203.0.113.11 ", "203.0.113.256 ", `"203.0.113.256" is no address`},
		{"type='openvswitch'", "type='802.1Qbh'", "has no card on an Open vSwitch bridge"},
		{"<mac address='52:54:00:00:00:11'/>", "<mac address='52:54'/>", `"52:54" is no MAC`},
		{"</domain>", "", "unexpected EOF"},
	} {
		require.Contains(t, xml, c[0])
		_, err := ofDomain("web-1", []byte(strings.Replace(xml, c[0], c[1], 1)))
		require.ErrorContains(t, err, c[2], c[1])
		require.ErrorContains(t, err, "domain web-1")
	}
	i, err = ofDomain("web-1", []byte(strings.ReplaceAll(xml, "urn:portcullis:1", "urn:other")))
	require.NoError(t, err)
	require.Nil(t, i, "it says nothing of groups")
}

// Of several cards each has its own addresses, by its MAC; one that is found by its identity has no
// name.
func TestADomainOfTwoCards(t *testing.T) {
	i, err := ofDomain("web-1", []byte(`<domain><metadata>
<p:instance xmlns:p='urn:portcullis:1' groups='web'><p:port mac='52:54:00:00:00:1A' addresses='203.0.113.11'/>
<p:port mac='52:54:00:00:00:12' addresses='198.51.100.12'/></p:instance></metadata><devices>
<interface type='bridge'><mac address='52:54:00:00:00:1a'/><virtualport type='openvswitch'>
<parameters interfaceid='6f1b7a52-6d19'/></virtualport></interface>
<interface type='network'><mac address='52:54:00:00:00:13'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:12'/><virtualport type='openvswitch'/>
<target dev='tap2'/></interface></devices></domain>`))
	require.NoError(t, err)
	require.Equal(t, `groups: []
instances:
  - name: web-1
    groups: [web]
    ports:
      - iface_id: "6f1b7a52-6d19"
        mac: 52:54:00:00:00:1a
        addresses: ["203.0.113.11"]
      - name: tap2
        mac: 52:54:00:00:00:12
        addresses: ["198.51.100.12"]
`, text(*i))
}

func TestAContainersConfigurationIsItsCards(t *testing.T) {
	cards, err := cardsOfLXC(recorded(t, "lxc.conf"))
	require.NoError(t, err)
	require.Equal(t, []card{{device: "tap-web-1", mac: "52:54:00:00:00:11",
		addresses: []string{"203.0.113.11/24", "2001:db8::11/64"}}}, cards)
	_, err = cardsOfLXC("lxc.net.3.type = veth\nlxc.net.3.veth.pair = tap1\n")
	require.ErrorContains(t, err, "lxc.net.3.hwaddr is missing")
}

func TestAGuestsConfigurationIsAnInstance(t *testing.T) {
	of := func(id, conf string, isContainer bool) (policy.Instance, error) {
		g := proxmoxGuest{id: id, isContainer: isContainer, values: proxmoxValues(conf)}
		cards, err := g.cards("vmbr1")
		if err != nil {
			return policy.Instance{}, err
		}
		return instance(g.name(), "conf", g.groups(), cards)
	}
	conf := recorded(t, "100.conf")
	i, err := of("100", conf, false)
	require.NoError(t, err)
	require.Equal(t, strings.NewReplacer("tap-web-1", "tap100i0", "web-1", "vm100").Replace(web1), text(i))
	i, err = of("101", recorded(t, "101.conf"), true)
	require.NoError(t, err)
	require.Contains(t, text(i), "name: veth101i0\n        mac: 52:54:00:00:00:12\n"+
		"        addresses: [\"203.0.113.12\"]")
	for from, to := range map[string]string{"firewall=0": "firewall=1", "bridge=vmbr1": "bridge=vmbr1,tag=7"} {
		_, err := of("100", strings.Replace(conf, from, to, 1), false)
		require.ErrorContains(t, err, "net0", to)
	}
	_, err = of("100", strings.Replace(conf, "ip=203.0.113.11/24", "ip=dhcp", 1)+"", false)
	require.NoError(t, err, "it has an address of IPv6")
	_, err = of("100", strings.Replace(conf, "vmbr1", "vmbr2", 1), false)
	require.ErrorContains(t, err, "no card on an Open vSwitch bridge")
}

func TestAnInstanceOfIncus(t *testing.T) {
	i, err := ofIncus(strings.NewReader(recorded(t, "incus.json")))
	require.NoError(t, err)
	require.Equal(t, web1, text(*i))
	i, err = ofIncus(strings.NewReader(`{"name": "other", "expanded_config": {}}`))
	require.NoError(t, err)
	require.Nil(t, i)
	i, err = ofIncus(strings.NewReader(strings.Replace(recorded(t, "incus.json"), "Running", "Stopped", 1)))
	require.NoError(t, err)
	require.Nil(t, i)
	_, err = ofIncus(strings.NewReader(`Error: not found`))
	require.ErrorContains(t, err, "want an instance of Incus as JSON")
}

// What each moment makes of each place, at the host hv2.
func TestMoments(t *testing.T) {
	i, err := ofDomain("web-1", []byte(recorded(t, "domain.xml")))
	require.NoError(t, err)
	at := func(host, to string) *policy.Policy {
		one := i.Sorted()
		one.Host, one.MigratingTo = host, to
		return &policy.Policy{Groups: []*policy.Group{{Name: "admin"}, {Name: "web"}},
			Instances: []*policy.Instance{&one}}
	}
	none := &policy.Policy{Groups: at("", "").Groups}
	for _, c := range []struct {
		m      moment
		before *policy.Policy
		want   string // host, and where it moves to; "" = it is gone
	}{
		{starts, none, "hv2"}, {starts, at("hv2", ""), "hv2"}, {starts, at("-", ""), "hv2"},
		{starts, at("hv1", "hv2"), "hv1 hv2"}, {starts, at("hv2", "hv1"), "hv2 hv1"},
		{starts, at("hv1", ""), "refused"}, {starts, at("hv1", "hv3"), "refused"},
		{arrives, none, "hv2"}, {arrives, at("hv1", ""), "hv1 hv2"},
		{arrives, at("hv1", "hv2"), "hv1 hv2"}, {arrives, at("hv1", "hv3"), "refused"},
		{awaited, none, "hv2"}, {awaited, at("hv1", ""), "hv1 hv2"},
		{runs, none, "hv2"}, {runs, at("hv2", ""), "hv2"}, {runs, at("hv1", "hv2"), "hv2"},
		{runs, at("hv1", ""), "refused"}, {runs, at("hv2", "hv1"), "hv2 hv1"},
		{arrived, none, ""}, {arrived, at("hv1", "hv2"), "hv2"}, {arrived, at("hv2", ""), "hv2"},
		{arrived, at("hv1", "hv3"), "hv1 hv3"}, {arrived, at("hv1", ""), "hv1"},
		{ends, at(elsewhere, "hv2"), ""}, {starts, at(elsewhere, "hv2"), "elsewhere hv2"},
		{ends, none, ""}, {ends, at("hv2", ""), ""}, {ends, at("hv2", "hv1"), "hv1"},
		{ends, at("hv1", "hv2"), "hv1"}, {ends, at("hv1", ""), "hv1"}, {ends, at("-", ""), ""},
	} {
		next, err := c.m.edit(*i, "hv2")(c.before)
		require.Equal(t, c.want, placeOf(next, err), "%v %v", c.m, c.before.Instances)
	}
	for before, want := range map[*policy.Policy]string{ // awaited, in files
		none: "elsewhere hv2", at("hv2", ""): "elsewhere hv2", at("-", ""): "elsewhere hv2",
		at(elsewhere, "hv2"): "elsewhere hv2", at("hv1", ""): "hv1 hv2", at("hv1", "hv2"): "hv1 hv2",
		at("hv1", "hv3"): "refused",
	} {
		next, err := awaited.inFiles(*i, "hv2")(before)
		require.Equal(t, want, placeOf(next, err), "%v", before.Instances)
		if err == nil {
			require.Empty(t, policy.Validate(next))
		}
	}
}

// placeOf is the host of the only instance, and where it moves to.
func placeOf(p *policy.Policy, err error) (place string) {
	if err != nil {
		return "refused"
	}
	for _, one := range p.Instances {
		place = strings.TrimSpace(one.Host + " " + one.MigratingTo)
	}
	return place
}

// A machine has arrived when libvirt's file of it says that it runs, and never comes when that file
// goes, or is never there.
func TestAMachineHasArrived(t *testing.T) {
	for _, c := range []struct {
		states []string // at one look after the other; "" = there is no file
		comes  time.Duration
		want   bool
	}{
		{[]string{"running"}, time.Hour, true}, {[]string{"", "paused", "running"}, time.Hour, true},
		{[]string{"paused", "", "running"}, time.Hour, false}, {[]string{"", "running"}, 0, false},
		{[]string{"unreadable", "running"}, 0, true},
	} {
		file := filepath.Join(t.TempDir(), "web-1.xml")
		looked := 0
		got := hasArrived(func() (status, bool) {
			state := c.states[looked]
			looked++
			if state != "" {
				text := "<domstatus state='" + state + "' reason='migrating' pid='7'><domain/></domstatus>"
				text = strings.TrimPrefix(text, "<domstatus state='unreadable'")
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			} else {
				_ = os.Remove(file)
			}
			return stateOf(file)
		}, patience{comes: c.comes, runs: time.Hour})
		require.Equal(t, c.want, got, "%v", c.states)
	}
}
