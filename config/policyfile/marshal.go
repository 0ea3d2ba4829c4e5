// A policy as a policy file. "portcullis convert" calls it; what it writes is read back as the same
// policy.

package policyfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Marshal writes a valid policy as a policy file. Read by [Parse], it gives the same policy, but
// for the positions.
func Marshal(p *policy.Policy) []byte {
	var w policyWriter
	if len(p.Projects) > 0 {
		w.list(0, "projects", len(p.Projects))
	}
	for _, project := range p.Projects {
		fmt.Fprintf(&w, "  - name: %s\n", scalar(project.Name))
		if project.Description != "" {
			fmt.Fprintf(&w, "    description: %s\n", scalar(project.Description))
		}
	}
	networks, groups := p.Apart()
	if len(networks) > 0 {
		w.list(0, "networks", len(networks))
	}
	for _, g := range networks {
		fmt.Fprintf(&w, "  %s: %s\n", scalar(g.Name), flowList(g.ExternalSources, quotedNetwork))
	}
	w.list(0, "groups", len(groups))
	for _, g := range groups {
		w.group(g)
	}
	w.list(0, "instances", len(p.Instances))
	for _, i := range p.Instances {
		w.instance(i)
	}
	return w.Bytes()
}

type policyWriter struct{ bytes.Buffer }

// list begins a list in block style, or writes an empty one.
func (w *policyWriter) list(indent int, key string, length int) {
	if length == 0 {
		fmt.Fprintf(w, "%*s%s: []\n", indent, "", key)
		return
	}
	fmt.Fprintf(w, "%*s%s:\n", indent, "", key)
}

func (w *policyWriter) group(g *policy.Group) {
	fmt.Fprintf(w, "  - name: %s\n", scalar(g.Name))
	if g.Description != "" {
		fmt.Fprintf(w, "    description: %s\n", scalar(g.Description))
	}
	if g.Shared {
		fmt.Fprintf(w, "    shared: true\n")
	}
	if len(g.ExternalSources) > 0 {
		fmt.Fprintf(w, "    external_sources: %s\n",
			flowList(g.ExternalSources, func(p netip.Prefix) string { return scalar(p.String()) }))
	}
	if len(g.Rules) == 0 {
		return
	}
	w.list(4, "rules", len(g.Rules))
	for _, r := range g.Rules {
		fmt.Fprintf(w, "      - {%s}\n", strings.Join(ruleFields(r), ", "))
	}
}

func ruleFields(r policy.Rule) []string {
	out := []string{"direction: " + r.Direction.String(), "protocol: " + r.Protocol.String()}
	if r.Protocol.HasPorts() {
		out = append(out, "ports: "+oneOrList(r.Ports, policy.PortRange.String))
	}
	if r.Protocol.HasTypes() && r.ICMPType != policy.AnyICMP {
		out = append(out, fmt.Sprintf("icmp_type: %d", r.ICMPType))
		if r.ICMPCode != policy.AnyICMP {
			out = append(out, fmt.Sprintf("icmp_code: %d", r.ICMPCode))
		}
	}
	var networks, groups []string
	for _, p := range r.Peers {
		switch {
		case p.Group == "":
			networks = append(networks, p.CIDR.String())
		case p.IsNetwork:
			networks = append(networks, p.Group)
		default:
			groups = append(groups, p.Group)
		}
	}
	if len(networks) > 0 {
		out = append(out, "cidr: "+oneOrList(networks, scalar))
	}
	if len(groups) > 0 {
		out = append(out, "group: "+oneOrList(groups, scalar))
	}
	if r.Description != "" {
		out = append(out, "description: "+scalar(r.Description))
	}
	return out
}

func (w *policyWriter) instance(i *policy.Instance) {
	fmt.Fprintf(w, "  - name: %s\n", scalar(i.Name))
	if i.Host != "" {
		fmt.Fprintf(w, "    host: %s\n", scalar(i.Host))
	}
	if i.MigratingTo != "" {
		fmt.Fprintf(w, "    migrating_to: %s\n", scalar(i.MigratingTo))
	}
	if len(i.Groups) > 0 {
		fmt.Fprintf(w, "    groups: %s\n", flowList(i.Groups, scalar))
	}
	if len(i.Ports) == 0 {
		return
	}
	w.list(4, "ports", len(i.Ports))
	for _, p := range i.Ports {
		w.port(p)
	}
}

func (w *policyWriter) port(p policy.Port) {
	names := "name: " + scalar(p.Name)
	switch p.IfaceID {
	case "":
	case p.Name:
		names = "iface_id: " + scalar(p.IfaceID)
	default:
		names += "\n        iface_id: " + scalar(p.IfaceID)
	}
	fmt.Fprintf(w, "      - %s\n        mac: %s\n", names, p.MAC)
	if len(p.Addresses) > 0 {
		fmt.Fprintf(w, "        addresses: %s\n", flowList(p.Addresses, quotedPrefix))
	}
	if len(p.Allowed) > 0 {
		fmt.Fprintf(w, "        allowed_addresses: %s\n", flowList(p.Allowed, allowedText))
	}
	if p.Type != policy.ExistingDevice {
		fmt.Fprintf(w, "        type: %s\n", p.Type)
	}
	if p.HostDevice {
		fmt.Fprintf(w, "        host_device: true\n")
	}
	if p.Trusted {
		fmt.Fprintf(w, "        trusted: true\n")
	}
	if len(p.EtherTypes) > 0 {
		fmt.Fprintf(w, "        ethertypes: %s\n",
			flowList(p.EtherTypes, func(t uint16) string { return fmt.Sprintf("0x%04x", t) }))
	}
	if l := limitsText(p.Limits); l != "" {
		fmt.Fprintf(w, "        limits: %s\n", l)
	}
	if p.LogDenied != policy.Unset {
		fmt.Fprintf(w, "        log_denied: %t\n", p.LogDenied == policy.Yes)
	}
}

func allowedText(a policy.AllowedAddress) string {
	if a.MAC.IsZero() {
		return quotedPrefix(a.Prefix)
	}
	return fmt.Sprintf("{address: %s, mac: %s}", quotedPrefix(a.Prefix), a.MAC)
}

// oneOrList writes one value as it is, several as a list.
func oneOrList[T any](values []T, write func(T) string) string {
	if len(values) == 1 {
		return write(values[0])
	}
	return flowList(values, write)
}

func quotedNetwork(p netip.Prefix) string { return scalar(p.String()) }

func quotedPrefix(p netip.Prefix) string { return scalar(policy.AddressText(p)) }

// isPlain says whether the text is a word: a letter, then letters, digits and the like.
func isPlain(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9') && !strings.ContainsRune("_.-", rune(c))) {
			return false
		}
	}
	return s != ""
}

func flowList[T any](values []T, write func(T) string) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = write(v)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// scalar writes text so that YAML reads it as that text: plain where there is no doubt, else in
// quotes as JSON, which YAML includes.
func scalar(s string) string {
	doubtful := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if isPlain(s) && !slices.Contains(doubtful, strings.ToLower(s)) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
