package hook

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows/policy"
)

// Proxmox VE's hookscript: VMID PHASE (pve-docs, "Hookscripts"). What a guest is stands in its
// configuration, below /etc/pve.

// tagPrefix is what tags begin with that name groups: others may be set by tenants.
const tagPrefix = "pc-"

func newProxmox(f *cli.Files) *cobra.Command {
	var folder string
	cmd := &cobra.Command{Use: "proxmox VMID PHASE", Short: "Of Proxmox VE's hookscripts",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Outcome(proxmox(cmd, f, folder, args[0], args[1]))
		}}
	cmd.Flags().StringVar(&folder, "pve", "/etc/pve", "the `FOLDER` of the cluster's configuration")
	return cmd
}

func proxmox(cmd *cobra.Command, f *cli.Files, folder, id, phase string) error {
	if !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(id) {
		return fmt.Errorf("VMID %q: want a number such as 100", id)
	}
	from := os.Getenv("PVE_MIGRATED_FROM")
	m := map[string]moment{"pre-start": starts, "post-stop": ends}[phase]
	if m == starts && from != "" {
		m, folder = arrives, filepath.Join(folder, "nodes", filepath.Base(from))
	}
	if m == nothing {
		return nil
	}
	file, text, err := proxmoxConfig(folder, id)
	if err != nil {
		return err
	}
	guest := proxmoxGuest{id: id, isContainer: filepath.Base(filepath.Dir(file)) == "lxc",
		values: proxmoxValues(text)}
	groups := guest.groups()
	if len(groups) == 0 {
		return nil // it is none of ours
	}
	if m == ends {
		return happen(cmd, f, m, policy.Instance{Name: guest.name()})
	}
	settings, err := f.Settings()
	if err != nil {
		return err
	}
	cards, err := guest.cards(settings.Bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	i, err := instance(guest.name(), file, groups, cards)
	if err != nil {
		return err
	}
	return happen(cmd, f, m, i)
}

func proxmoxConfig(folder, id string) (file, text string, err error) {
	for _, kind := range []string{"qemu-server", "lxc"} {
		file = filepath.Join(folder, kind, id+".conf")
		data, err := os.ReadFile(file)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, string(data), err
		}
	}
	return "", "", fmt.Errorf("%s: there is neither qemu-server/%s.conf nor lxc/%[2]s.conf", folder, id)
}

// proxmoxValues are the lines of a configuration, up to the first snapshot.
func proxmoxValues(text string) map[string]string {
	out := map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if strings.HasPrefix(s.Text(), "[") {
			break
		}
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && !strings.HasPrefix(key, "#") {
			out[key] = strings.TrimSpace(value)
		}
	}
	return out
}

type proxmoxGuest struct {
	id          string
	isContainer bool
	values      map[string]string
}

func (g proxmoxGuest) name() string {
	if g.isContainer {
		return "ct" + g.id
	}
	return "vm" + g.id
}

func (g proxmoxGuest) groups() (out []string) {
	for _, tag := range strings.FieldsFunc(g.values["tags"],
		func(c rune) bool { return c == ';' || c == ',' || c == ' ' }) {
		if group, ok := strings.CutPrefix(tag, tagPrefix); ok {
			out = append(out, group)
		}
	}
	return out
}

// mostCards is how many cards a guest may have, net0 and on.
const mostCards = 32

func (g proxmoxGuest) cards(bridge string) ([]card, error) {
	var out []card
	for n := range mostCards {
		key := fmt.Sprintf("net%d", n)
		text, isThere := g.values[key]
		if !isThere {
			continue
		}
		o := options(text)
		switch {
		case o["bridge"] != bridge || o["link_down"] == "1":
			continue
		case o["firewall"] == "1":
			return nil, fmt.Errorf("%s: it has firewall=1, which puts another bridge between; write "+
				"firewall=0: Portcullis does it", key)
		case o["tag"] != "" || o["trunks"] != "":
			return nil, fmt.Errorf("%s: it has tag or trunks, and would be a port of VLANs; leave them out",
				key)
		}
		one := card{device: fmt.Sprintf("tap%si%d", g.id, n)}
		ip := options(g.values[fmt.Sprintf("ipconfig%d", n)])
		if one.mac = macOf(o); g.isContainer {
			one.device, one.mac, ip = fmt.Sprintf("veth%si%d", g.id, n), o["hwaddr"], o
		}
		for _, family := range []string{"ip", "ip6"} {
			if a := ip[family]; strings.ContainsAny(a, ".:") {
				one.addresses = append(one.addresses, a)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// options reads key=value,….
func options(text string) map[string]string {
	out := map[string]string{}
	for _, word := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(word, "=")
		out[key] = value
	}
	return out
}

// macOf is the MAC of a machine's card, which is the value of its model.
func macOf(o map[string]string) string {
	if o["macaddr"] != "" {
		return o["macaddr"]
	}
	for _, model := range []string{"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3"} {
		if o[model] != "" {
			return o[model]
		}
	}
	return ""
}
