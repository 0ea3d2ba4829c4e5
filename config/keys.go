package config

// The keys of each mapping in a policy file, in the order of the documentation. Never changed.
var (
	policyKeys   = []string{"groups", "instances"}
	groupKeys    = []string{"name", "description", "external_sources", "rules"}
	ruleKeys     = []string{"direction", "protocol", "ports", "icmp_type", "icmp_code", "cidr", "group", "description"}
	instanceKeys = []string{"name", "host", "groups", "ports"}
	portKeys     = []string{"name", "mac", "addresses", "allowed_addresses", "type", "trusted", "ethertypes"}
	allowedKeys  = []string{"address", "mac"}
)
