package serve

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/exoscale"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Clients of Exoscale's API: what serve mounts for them, and the keys that token makes. Invariant:
// the key that opens secrets is read from a file that is its owner's alone, or from systemd.

// exoscaleFlags are those of serve.
type exoscaleFlags struct{ zone, secretsKey string }

func (e *exoscaleFlags) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&e.zone, "exoscale-zone", "", "answer below /v2 as Exoscale's API does, with one zone "+
		"of this `NAME`: for the keys of 'token create --exoscale'")
	addSecretsKey(flags, &e.secretsKey)
}

// secretsCredential is the name of the key where systemd hands it over (LoadCredential=).
const secretsCredential = "portcullis-secrets-key"

func addSecretsKey(flags *pflag.FlagSet, path *string) {
	flags.StringVar(path, "secrets-key", "", "the key that seals the secrets of Exoscale's keys: `FILE`, "+
		"as 'openssl rand -hex 32' prints it (default: the credential "+secretsCredential+" of systemd)")
}

// mount has a server answer below /v2, if it is to.
func (e *exoscaleFlags) mount(server *apiserver.Server, log *logrus.Logger) error {
	switch {
	case e.zone == "" && e.secretsKey != "":
		return errors.New("--secrets-key is of no use without --exoscale-zone")
	case e.zone == "":
		return nil
	}
	if err := checkPublicURL(server.PublicURL); err != nil {
		return err
	}
	sealer, err := readSealer(e.secretsKey)
	if err != nil {
		return err
	}
	server.Beside = exoscale.New(exoscale.Options{API: server, Sealer: sealer, Zone: e.zone,
		PublicURL: server.PublicURL, Log: log.WithField("task", "api")})
	return nil
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.RawQuery != "",
		u.Fragment != "", u.User != nil:
		return fmt.Errorf("--public-url %s: must be such as https://policy.example.net", text)
	}
	return nil
}

// readSealer reads the key that opens secrets.
func readSealer(path string) (*access.Sealer, error) {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		path = filepath.Join(dir, secretsCredential)
	} else if path == "" {
		return nil, errors.New("the secrets of Exoscale's keys are sealed: --secrets-key FILE with what " +
			"'openssl rand -hex 32' prints, the same file for every server and for 'token create'")
	} else if err := isPrivate(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--secrets-key: %w", err)
	}
	sealer, err := access.ParseSealer(string(text))
	if err != nil {
		return nil, fmt.Errorf("--secrets-key: %s %w", path, err)
	}
	return sealer, nil
}

// others are the bits of a file's mode that are of anybody but its owner.
const others = 0o077

func isPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("--secrets-key: %w", err)
	}
	if info.Mode()&others != 0 {
		return fmt.Errorf("--secrets-key: %s is not its owner's alone (mode %#o): chmod 600", path,
			info.Mode().Perm())
	}
	return nil
}

// keyFlags are those of token create.
type keyFlags struct {
	isKey      bool
	secretsKey string
}

func (k *keyFlags) addTo(flags *pflag.FlagSet) {
	flags.BoolVar(&k.isKey, "exoscale", false, "make a key and a secret for /v2: see serve --exoscale-zone")
	addSecretsKey(flags, &k.secretsKey)
}

// create makes a key and prints it.
func (k *keyFlags) create(cmd *cobra.Command, want apiserver.NewToken, now time.Time,
	format term.Format, add func(policydb.Token) error) error {
	sealer, err := readSealer(k.secretsKey)
	if err != nil {
		return err
	}
	made, kept, err := exoscale.Draw(want, sealer, whoAmI(), now)
	if err != nil {
		return err
	}
	if err := add(kept); err != nil {
		return err
	}
	if format == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), made)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "EXOSCALE_API_KEY=%s\nEXOSCALE_API_SECRET=%s\n", made.Key,
		made.Secret)
	return err
}
