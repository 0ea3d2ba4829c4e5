package policyserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ovsdb/authority"
	"github.com/portcullis/portcullis/ovsdb/credentials"
)

// Who has which certificate. There are two authorities, in the folder of the first member: the
// hosts' one signs what hosts show, and what they are shown; the members' one signs members and
// writers. Neither side's certificate is good for the other's door.

// Purpose says what a certificate is for.
type Purpose string

// The purposes.
const (
	ForHost   Purpose = "host"
	ForWriter Purpose = "writer"
	ForRelay  Purpose = "relay"
	ForMember Purpose = "member"
)

// Purposes are all of them.
func Purposes() []string {
	return []string{string(ForHost), string(ForWriter), string(ForRelay), string(ForMember)}
}

// Issued is a certificate that was made.
type Issued struct {
	Name    string    `json:"name"`
	Purpose Purpose   `json:"for"`
	Folder  string    `json:"folder"`
	Until   time.Time `json:"until"`
}

// makeAuthorities makes both authorities.
func (f Folder) makeAuthorities() error {
	for _, side := range []string{hostsName, membersName} {
		if err := authority.Make(f.path(authorityName, side), "Portcullis "+side); err != nil {
			return err
		}
	}
	return nil
}

// Certificate makes a certificate for somebody, or renews it. Where it is renewed, what is left out
// is as it was.
func (f Folder) Certificate(purpose Purpose, subject authority.Subject) (Issued, error) {
	folder := f.path(issuedName, subject.Name)
	out := Issued{Name: subject.Name, Folder: folder}
	if err := checkName(subject.Name); err != nil {
		return out, err
	}
	former, addresses, err := f.issued(subject.Name)
	switch {
	case err != nil:
		return out, err
	case purpose == "":
		purpose = former
	}
	if purpose == "" {
		purpose = ForHost
	}
	out.Purpose = purpose
	if len(subject.Addresses) == 0 {
		subject.Addresses = addresses
	}
	isServer := purpose == ForMember || purpose == ForRelay
	switch {
	case former != "" && former != purpose:
		return out, fmt.Errorf("%s has a certificate for a %s already: give this %s another name",
			subject.Name, former, purpose)
	case isServer != (len(subject.Addresses) > 0):
		return out, fmt.Errorf("--address: a %s needs the addresses that hosts call it by; nobody "+
			"else has one", ForMember+" or "+ForRelay)
	}
	err = f.sign(purpose, folder, subject, &out.Until)
	if err != nil {
		return out, err
	}
	return out, os.WriteFile(filepath.Join(folder, "for"), []byte(purpose), 0o600)
}

// sign makes the certificates of a purpose, and says until when they hold.
func (f Folder) sign(purpose Purpose, folder string, subject authority.Subject,
	until *time.Time) error {
	for side, where := range sides(purpose, folder) {
		signer, err := authority.Open(f.path(authorityName, side))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no authority in %s: it is where 'portcullis db init "+
				"--tls' was called", f)
		}
		if err != nil {
			return err
		}
		if *until, err = signer.Issue(where, subject); err != nil {
			return err
		}
	}
	return nil
}

// sides are the authorities that sign for a purpose, and the folders of what they sign.
func sides(purpose Purpose, folder string) map[string]string {
	switch purpose {
	case ForHost:
		return map[string]string{hostsName: folder}
	case ForWriter:
		return map[string]string{membersName: folder}
	case ForRelay:
		return map[string]string{hostsName: filepath.Join(folder, hostsName)}
	}
	return map[string]string{hostsName: filepath.Join(folder, hostsName),
		membersName: filepath.Join(folder, membersName)}
}

// issued returns for what a name has a certificate, and by which addresses; "" = it has none.
func (f Folder) issued(name string) (purpose Purpose, addresses []string, err error) {
	folder := f.path(issuedName, name)
	text, err := os.ReadFile(filepath.Join(folder, "for"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	purpose = Purpose(text)
	for _, where := range sides(purpose, folder) {
		one, err := authority.Read(where)
		if err != nil {
			return purpose, nil, err
		}
		addresses = slices.Clone(one.DNSNames)
		for _, ip := range one.IPAddresses {
			addresses = append(addresses, ip.String())
		}
	}
	return purpose, addresses, nil
}

// checkName refuses what is no name of a host and of a folder.
func checkName(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "/\x00\n") ||
		strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q: the name of a certificate is a host's, of at most 64 bytes, without /",
			name)
	}
	return nil
}

// certify makes the certificates of the first member itself; its folder tls is what was issued.
func (f Folder) certify(s Server, name string, cluster string, more []string) error {
	if err := f.makeAuthorities(); err != nil {
		return err
	}
	addresses := append(s.addresses(), more...)
	if host, _, err := net.SplitHostPort(cluster); err == nil {
		addresses = append(addresses, host)
	}
	slices.Sort(addresses)
	addresses = slices.Compact(append(addresses, name))
	_, err := f.Certificate(ForMember, authority.Subject{Name: name, Addresses: addresses,
		Days: ServerDays})
	if err != nil {
		return err
	}
	return os.Symlink(filepath.Join(issuedName, name), f.path(tlsName))
}

// ServerDays is how long a member's certificate holds that init makes.
const ServerDays = 730

// adopt copies certificates that another member has made.
func (f Folder) adopt(folder string, s Server) error {
	needed := []string{hostsName}
	if !s.IsRelay() {
		needed = append(needed, membersName)
	}
	for _, side := range needed {
		from, to := credentials.In(filepath.Join(folder, side)), credentials.In(f.path(tlsName, side))
		if err := os.MkdirAll(filepath.Dir(to.Key), 0o700); err != nil {
			return err
		}
		for source, target := range map[string]string{from.CA: to.CA,
			from.Certificate: to.Certificate, from.Key: to.Key} {
			text, err := os.ReadFile(source)
			if err != nil {
				return fmt.Errorf("--certificate: a folder that 'portcullis db certificate' has made "+
					"for a member, or for a relay: %w", err)
			}
			if err := os.WriteFile(target, text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
