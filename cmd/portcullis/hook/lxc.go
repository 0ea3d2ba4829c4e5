package hook

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows/policy"
)

// LXC's hooks (lxc.container.conf(5), CONTAINER HOOKS) tell by the environment. LXC has no place
// for groups: they are arguments of the hook.

func newLXC(f *cli.Files) *cobra.Command {
	var groups, addresses []string
	cmd := &cobra.Command{Use: "lxc", Short: "Of LXC's hooks pre-start and post-stop",
		Args: cobra.ArbitraryArgs, // hooks of version 0 have the name, the section and the type
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Outcome(lxc(cmd, f, groups, addresses))
		}}
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a `GROUP` that it is in; several times for several")
	cmd.Flags().StringArrayVar(&addresses, "address", nil,
		"an `ADDRESS` of its first card, if its configuration has none")
	return cmd
}

func lxc(cmd *cobra.Command, f *cli.Files, groups, addresses []string) error {
	name := os.Getenv("LXC_NAME")
	if name == "" {
		return errors.New("LXC_NAME is not set: LXC calls this, as lxc.hook.pre-start and " +
			"lxc.hook.post-stop with lxc.hook.version = 1")
	}
	switch kind := os.Getenv("LXC_HOOK_TYPE"); {
	case kind == "post-stop" && os.Getenv("LXC_TARGET") != "reboot":
		return happen(cmd, f, ends, policy.Instance{Name: name})
	case kind != "pre-start":
		return nil
	}
	file := os.Getenv("LXC_CONFIG_FILE")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	cards, err := cardsOfLXC(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(cards) > 0 && len(addresses) > 0 {
		cards[0].addresses = addresses
	}
	i, err := instance(name, file, groups, cards)
	if err != nil {
		return err
	}
	return happen(cmd, f, starts, i)
}

// cardsOfLXC reads the cards from a container's configuration.
func cardsOfLXC(text string) ([]card, error) {
	values, order := map[string]*card{}, []string{}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		key, value, isSet := strings.Cut(s.Text(), "=")
		parts := strings.Split(strings.TrimSpace(key), ".")
		if !isSet || len(parts) < 4 || parts[0] != "lxc" || parts[1] != "net" {
			continue
		}
		number := parts[2]
		if values[number] == nil {
			values[number], order = &card{}, append(order, number)
		}
		c, value := values[number], strings.TrimSpace(value)
		switch strings.Join(parts[3:], ".") {
		case "veth.pair":
			c.device = value
		case "hwaddr":
			c.mac = value
		case "ipv4.address", "ipv6.address":
			c.addresses = append(c.addresses, strings.Fields(value)[0])
		}
	}
	var out []card
	for _, number := range order {
		switch c := *values[number]; {
		case c.device == "":
			continue
		case c.mac == "":
			return nil, fmt.Errorf("lxc.net.%s.hwaddr is missing: write 02:00:00:00:00:11, or each "+
				"start has another", number)
		default:
			out = append(out, c)
		}
	}
	return slices.Clip(out), nil
}
