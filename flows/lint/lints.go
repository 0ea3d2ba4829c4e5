package lint

// The lints there are: what the command line, the log of a code scanner and docs/lints.md call
// them.

// Lint is one kind of finding.
type Lint struct {
	ID     string // as --ignore takes it
	Title  string // what is found, in a line
	Why    string // why it is hardly meant
	WayOut string // what to write instead, and when to accept it
}

// The lints that [Check] knows.
const (
	WorldSSH         = "world-ssh"
	WorldRDP         = "world-rdp"
	WorldAny         = "world-any"
	EmptyPeer        = "empty-peer"
	UnusedGroup      = "unused-group"
	UnusedNetwork    = "unused-network"
	NoGroup          = "no-group"
	CoveredRule      = "covered-rule"
	OneFamily        = "one-family"
	EgressWithoutDNS = "egress-without-dns"
)

// All returns the lints in the order of the documentation.
func All() []Lint {
	return []Lint{
		{WorldSSH, "SSH is open to the world",
			"A server that everybody can try passwords and new exploits on is tried within minutes. " +
				"All public addresses of a family are the world, in one network or in several, " +
				"in one rule of a group or in several.",
			"Name the networks that administrators come from, or the group of a bastion. " +
				"A bastion that is meant to be open is accepted by --ignore world-ssh:GROUP."},
		{WorldRDP, "RDP is open to the world",
			"As of SSH. Remote desktops are what ransomware most often comes by.",
			"Name the networks that administrators come from, or the group of a gateway."},
		{WorldAny, "Every service is open to the world",
			"Protocol any from everybody is as good as no firewall: whatever an instance listens " +
				"on, now or after its next update, is reachable.",
			"Write a rule for each service that is meant, such as tcp 443. A router or firewall " +
				"that is an instance is a trusted port instead."},
		{EmptyPeer, "A rule names a group that stands for nobody",
			"A group is a peer by the addresses of its members and by its external sources. " +
				"With neither, the rule admits nobody.",
			"Put instances into the group, give it external_sources, or remove the rule."},
		{UnusedGroup, "Nothing comes of a group",
			"No instance is in it, so that its rules protect nobody; often its name is misspelt " +
				"where it was meant to be used.",
			"Put instances into the group, or remove it. A group for later is accepted by " +
				"--ignore unused-group:GROUP."},
		{UnusedNetwork, "No rule names a named network",
			"Mostly an address was written where the name was meant, and stays as it is when the " +
				"network changes.",
			"Write the name where a rule means it, as cidr: NAME, or remove the network."},
		{NoGroup, "An instance is in no group",
			"No rule speaks of it: nobody can open a connection to it, and it can open any.",
			"Put the instance into a group, also if that has no rules. What is meant to be so is " +
				"accepted by --ignore no-group:INSTANCE."},
		{CoveredRule, "A rule admits nothing that another of its group does not admit",
			"Who removes it to take the access away finds that nothing changes, or it shows that " +
				"the other rule is wider than was meant.",
			"Remove the rule, or narrow the other one."},
		{OneFamily, "A rule admits all of one IP family, and the members have the other, too",
			"Rules are of the family of their networks. Clients that prefer IPv6, which most do, " +
				"try the address that is closed first, and wait.",
			"Write the rule for the other family, too: 0.0.0.0/0 is all of IPv4, ::/0 all of IPv6. " +
				"Or take the address away from the instance."},
		{EgressWithoutDNS, "Egress to the world is open, and to name servers it is not",
			"The first egress rule of any group of an instance closes all egress that no rule " +
				"admits, and with it the answers of names. DHCP, ARP and neighbour discovery " +
				"pass in any case.",
			"Add a rule: egress, udp, ports 53, to the name servers (and tcp 53, for answers that " +
				"are long)."},
	}
}
