// What people write as keys that a policy file does not have, and what they mean by it. Called by
// the readers of mappings; the rest of a message says package strictyaml.

package policyfile

import "strings"

// What is said of several keys.
const (
	onlyAdmits  = "rules only admit, in any order; what no rule admits is denied"
	whoIsPeer   = "whom a rule is about is its cidr or group"
	ofPort      = "it is of a port: ports: [{name: tap1, mac: …, addresses: […]}]"
	isOneList   = "the rules of a group are one list, rules; each says its direction"
	isOfMembers = "an instance names the groups that it is in"
	noVLAN      = "ports have no VLANs: tagged frames are dropped"
	ofSettings  = "it is of the settings (portcullis.yaml), not of a policy file"
)

// hints say by key what is meant. Never changed.
type hints map[string]string

// of returns hints for words with blanks between them.
func of(meaning, words string) hints {
	out := hints{}
	for _, word := range strings.Fields(words) {
		out[word] = meaning
	}
	return out
}

// all joins hints.
func all(parts ...hints) hints {
	out := hints{}
	for _, part := range parts {
		for key, meaning := range part {
			out[key] = meaning
		}
	}
	return out
}

var (
	fileHints = all(of(ofSettings, "bridge datapath_type host uplinks plugged_by_others gateways dhcp_servers "+
		"uplink_sources policy ovsdb openflow api metrics limits log_denied log"),
		of("rules are of a group", "rules"), of("ports are of an instance", "ports"),
		of(`did you mean "groups"?`, "security_groups"), of(`did you mean "instances"?`, "vms"),
		of(`did you mean "projects"?`, "project tenants"))
	projectHints = all(of("groups and instances are of the project that their names begin with: "+
		"name: acme/web", "groups instances members"))
	groupHints = all(of(isOneList, "ingress egress inbound outbound"),
		of(isOfMembers, "members instances"),
		of("external_sources has networks that count as members; what names them is networks, "+
			"at the top of the file", "networks cidr"))
	ruleHints = all(of(onlyAdmits, "action policy effect verdict deny allow permit drop priority"),
		of(whoIsPeer, "source src from remote destination dest dst to peer address addresses "+
			"network networks remote_ip_prefix source_cidr"),
		of(`did you mean "protocol"?`, "proto ip_protocol"),
		of(`did you mean "ports"?`, "dport dports dst_port port_range service services"),
		of(`did you mean "icmp_type"?`, "type"), of(`did you mean "icmp_code"?`, "code"))
	instanceHints = all(of(ofPort, "mac mac_address address addresses ip ips tap interface"),
		of(`did you mean "groups"?`, "security_groups sg"),
		of(`did you mean "ports"?`, "interfaces nics"))
	portHints = all(of(`did you mean "addresses"?`, "ip ips address ip_address ip_addresses"),
		of(`did you mean "mac"?`, "mac_address macaddr hwaddr"),
		of(`did you mean "name"?`, "device dev interface ifname iface tap"),
		of(noVLAN, "vlan tag trunk"),
		of("groups are of the instance", "groups security_groups"))
)
