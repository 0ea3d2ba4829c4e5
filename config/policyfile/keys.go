// The keys of a policy file. The reader refuses others; the schema and the reference have the same.

package policyfile

// The keys of each mapping in a policy file, in the order of the documentation. Never changed.
var (
	policyKeys  = []string{"projects", "networks", "groups", "instances"}
	projectKeys = []string{"name", "description"}
	groupKeys   = []string{"name", "description", "shared", "external_sources", "rules"}
	ruleKeys    = []string{"direction", "protocol", "ports", "icmp_type", "icmp_code", "cidr",
		"group", "description"}
	instanceKeys = []string{"name", "host", "migrating_to", "groups", "ports"}
	portKeys     = []string{"name", "iface_id", "mac", "addresses", "allowed_addresses", "type",
		"host_device", "trusted", "ethertypes", "limits", "log_denied"}
	allowedKeys = []string{"address", "mac"}
	limitKeys   = []string{"connections", "new_connections_per_second", "arp_nd_dhcp_per_second",
		"fragments_per_second"}
)
