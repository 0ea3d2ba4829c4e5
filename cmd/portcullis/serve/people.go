package serve

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/signin"
)

// What serve is told of people who sign in with a browser, and of the proxies before it.

// people are the flags.
type people struct {
	provider   signin.Options
	secretFile string
	roles      []string
	session    time.Duration
	proxies    []string
}

// shortestSession is the least that anybody signs in for.
const shortestSession = time.Minute

func (p *people) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.provider.Issuer, "oidc-issuer", "", "people sign in by OpenID Connect at this "+
		"provider: `URL`")
	flags.StringVar(&p.provider.ClientID, "oidc-client-id", "", "what the provider knows this server "+
		"by: `ID`")
	flags.StringVar(&p.secretFile, "oidc-client-secret-file", "", "the `FILE` with the secret that the "+
		"provider has given with it; without one it is a public client")
	flags.StringArrayVar(&p.roles, "oidc-role", nil, "`GROUP=ROLE[@PROJECT]`: what members of a group "+
		"of the provider may; the first that fits counts (repeat it)")
	flags.StringVar(&p.provider.GroupsClaim, "oidc-groups-claim", "groups", "the `CLAIM` that has the "+
		"groups of somebody")
	flags.StringVar(&p.provider.NameClaim, "oidc-name-claim", "email", "the `CLAIM` by which the "+
		"history names somebody; who has none is named by the subject")
	flags.DurationVar(&p.session, "session", 8*time.Hour, "how long somebody is signed in: `TIME`")
	flags.StringArrayVar(&p.proxies, "proxy", nil, "`ADDRESS` or network of a proxy before this server, "+
		"whose X-Forwarded-For says who asks (repeat it)")
	if flags.Lookup("public-url") == nil {
		flags.String("public-url", "", "where browsers and programs find this server: `URL`")
	}
}

// attach has a server know of them.
func (p *people) attach(cmd *cobra.Command, s *apiserver.Server, log *logrus.Entry) error {
	for _, text := range p.proxies {
		one, err := netip.ParsePrefix(text)
		if ip, isAddress := netip.ParseAddr(text); isAddress == nil {
			one, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("--proxy %s: must be an address or a network", text)
		}
		s.Proxies = append(s.Proxies, one)
	}
	public, err := cmd.Flags().GetString("public-url")
	if err != nil {
		return err
	}
	s.PublicURL, s.SessionTime = public, p.session
	switch {
	case p.provider.Issuer == "" && len(p.roles)+len(p.provider.ClientID)+len(p.secretFile) > 0:
		return errors.New("--oidc-issuer: is missing beside what is said of its clients")
	case p.provider.Issuer == "":
		return nil
	case p.session < shortestSession:
		return fmt.Errorf("--session %s: must be at least %s", p.session, shortestSession)
	}
	p.provider.PublicURL, p.provider.Log = public, log
	if err := p.read(); err != nil {
		return err
	}
	handler, err := signin.New(p.provider, s.Sessions())
	if err != nil {
		return fmt.Errorf("to sign in by --oidc-issuer: %w", err)
	}
	s.SignIn = handler.Handler()
	return nil
}

// read reads the secret and the roles.
func (p *people) read() error {
	for _, text := range p.roles {
		grant, err := signin.ParseGrant(text)
		if err != nil {
			return fmt.Errorf("--oidc-role %w", err)
		}
		p.provider.Grants = append(p.provider.Grants, grant)
	}
	if p.secretFile == "" {
		return nil
	}
	text, err := os.ReadFile(p.secretFile)
	if err != nil {
		return fmt.Errorf("--oidc-client-secret-file: %w", err)
	}
	p.provider.ClientSecret = strings.TrimSpace(string(text))
	return nil
}
