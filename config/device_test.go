package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
)

func TestDevicesOfTheHost(t *testing.T) {
	devices := []Device{
		{Names: []string{"plain", "enp0s9"}, Addresses: configtest.Prefixes("fe80::1/64",
			"169.254.1.1/16"), Routes: configtest.Prefixes("fe80::/64", "ff00::/8",
			"169.254.0.0/16", "224.0.0.0/4")},
		{Names: []string{"four", "enp0s4"}, Addresses: configtest.Prefixes("fe80::2/64",
			"192.0.2.5/24")},
		{Names: []string{"six"}, Addresses: configtest.Prefixes("2001:db8::5/64")},
		{Names: []string{"route"}, Routes: configtest.Prefixes("ff00::/8", "0.0.0.0/0")},
		{Names: []string{"below"}, Above: []string{"middle", "gone"}},
		{Names: []string{"middle"}, Above: []string{"below", "top"}},
		{Names: []string{"top"}, Routes: configtest.Prefixes("2001:db8::/32")},
	}
	for name, want := range map[string]string{
		"plain": "", "enp0s9": "", "none": "",
		"four":   "it has the address 192.0.2.5/24",
		"enp0s4": "it has the address 192.0.2.5/24", // by another name
		"six":    "it has the address 2001:db8::5/64",
		"route":  "it has the route to 0.0.0.0/0",
		"below":  `"top", which is made of it, has the route to 2001:db8::/32`,
	} {
		s := Settings{Bridge: "br-int", Host: "h1"}
		for _, c := range []struct{ extra, host, want string }{
			{"", "@h1", want}, {"", "", want}, {"", "@h2", ""}, {", host_device: true", "@h1", ""},
			{", host_device: false", "@h1", want}, {", type: internal", "@h1", ""},
		} {
			p, _, err := policyfile.Parse([]strictyaml.File{
				{Name: "p.yaml", Data: []byte(configtest.Ports("name: " + name +
					", mac: 02:00:00:00:00:01, addresses: [192.0.2.2]" + c.extra + c.host))}})
			require.NoError(t, err)
			err = s.Check(p, devices)
			if c.want == "" {
				require.NoError(t, err, name)
				continue
			}
			require.Len(t, err, 1)
			require.ErrorContains(t, err,
				p.Instances[0].Ports[0].At.String()+`: the port "`+name+`" is a device of the host itself: `+
					c.want)
		}
	}
	s := Settings{Bridge: "four", Host: "h1", Uplinks: []string{"six"}}
	p, _, err := policyfile.Parse([]strictyaml.File{
		{Name: "p.yaml", Data: []byte(configtest.Ports(
			"name: four, mac: 02:00:00:00:00:01, trusted: true",
			"name: six, mac: 02:00:00:00:00:02, trusted: true"))}})
	require.NoError(t, err)
	require.Len(t, s.Check(p, devices), 2, "each is told once")
}
