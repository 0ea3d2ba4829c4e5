package hook

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"maps"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows/policy"
)

// Incus has no hook: a follower of its events calls this with an instance as its API tells it
// (GET /1.0/instances/NAME).

// incusInstance is what is read of it.
type incusInstance struct {
	Name    string                       `json:"name"`
	Status  string                       `json:"status"`
	Config  map[string]string            `json:"expanded_config"`
	Devices map[string]map[string]string `json:"expanded_devices"`
}

func newIncus(f *cli.Files) *cobra.Command {
	var gone string
	cmd := &cobra.Command{Use: "incus", Short: "Of a follower of Incus, with an instance on standard input",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if gone != "" {
				return happen(cmd, f, ends, policy.Instance{Name: gone})
			}
			i, err := ofIncus(cmd.InOrStdin())
			if err != nil || i == nil {
				return err
			}
			return happen(cmd, f, starts, *i)
		})}
	cmd.Flags().StringVar(&gone, "gone", "", "the instance of this `NAME` has gone; nothing is read")
	return cmd
}

// ofIncus reads an instance; nil = it says nothing of groups, or is off, and something of it was
// changed.
func ofIncus(in io.Reader) (*policy.Instance, error) {
	var one incusInstance
	if err := json.NewDecoder(in).Decode(&one); err != nil {
		return nil, fmt.Errorf("standard input: want an instance of Incus as JSON: %w", err)
	}
	groups, isOurs := one.Config["user.portcullis.groups"]
	if !isOurs || one.Status == "Stopped" {
		return nil, nil //nolint:nilnil // it is none of ours
	}
	var cards []card
	for _, name := range slices.Sorted(maps.Keys(one.Devices)) {
		d := one.Devices[name]
		if d["type"] != "nic" || d["host_name"] == "" {
			continue
		}
		c := card{device: d["host_name"], mac: d["hwaddr"], addresses: words(d["user.portcullis.addresses"])}
		if c.mac == "" {
			c.mac = one.Config["volatile."+name+".hwaddr"]
		}
		for _, key := range []string{"ipv4.address", "ipv6.address"} {
			if len(c.addresses) == 0 && d[key] != "" {
				c.addresses = append(c.addresses, d[key])
			}
		}
		cards = append(cards, c)
	}
	i, err := instance(one.Name, "Incus' instance "+one.Name, words(groups), cards)
	return &i, err
}
