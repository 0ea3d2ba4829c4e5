package signin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/access"
)

// What a provider says of somebody, and what they may by it. Invariant: who is in no group that has
// a role is nobody.

// Grant gives a group of the provider a role.
type Grant struct {
	Group   string
	Role    access.Role
	Project string // "" = all
}

// ParseGrant reads GROUP=ROLE, or GROUP=ROLE@PROJECT.
func ParseGrant(text string) (Grant, error) {
	at := strings.LastIndex(text, "=")
	if at <= 0 {
		return Grant{}, fmt.Errorf("%q: must be GROUP=ROLE or GROUP=ROLE@PROJECT", text)
	}
	role, project, hasProject := strings.Cut(text[at+1:], "@")
	out := Grant{Group: text[:at], Project: project}
	if err := out.Role.UnmarshalText([]byte(role)); err != nil {
		return Grant{}, fmt.Errorf("%q: %w", text, err)
	}
	if hasProject && project == "" {
		return Grant{}, fmt.Errorf("%q: names no project behind the @", text)
	}
	return out, nil
}

// Person is somebody who has signed in.
type Person struct {
	Name    string
	Role    access.Role
	Project string // "" = all
}

// personOf is who a token is of, if one of the groups has a role: the first that is listed.
func (o *Options) personOf(subject string, claims map[string]json.RawMessage) (Person, error) {
	out := Person{Name: subject}
	var name string
	isUnverified := o.NameClaim == "email" && string(claims["email_verified"]) == "false"
	if err := json.Unmarshal(claims[o.NameClaim], &name); err == nil && name != "" && !isUnverified {
		out.Name = name
	}
	groups := words(claims[o.GroupsClaim])
	for _, grant := range o.Grants {
		if slices.Contains(groups, grant.Group) {
			out.Role, out.Project = grant.Role, grant.Project
			return out, nil
		}
	}
	return Person{}, fmt.Errorf("%s is in no group that has a role here; the provider names %s", out.Name,
		orNone(groups))
}

// words reads a claim that is a list of words, or one word.
func words(claim json.RawMessage) []string {
	var list []string
	if json.Unmarshal(claim, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(claim, &one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

func orNone(groups []string) string {
	if len(groups) == 0 {
		return "none"
	}
	return strings.Join(groups, ", ")
}
