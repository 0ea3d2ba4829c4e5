package policy

import (
	"slices"
	"strings"
)

// The names of services, for policy files and for questions: one table for both. The numbers are
// those of IANA's "Service Name and Transport Protocol Port Number Registry", or where a server
// listens by default.

// NamedService is what people call some services by.
type NamedService struct {
	Name string
	Also []string // other names, in lower case as Name is
	// Services are what it stands for: ports of tcp and udp, or the echo requests of both families.
	Services []Service
}

// ServiceWords returns what each name of a service stands for, in words such as tcp/443 or icmp/8.
func ServiceWords() map[string][]string {
	out := map[string][]string{}
	for _, n := range NamedServices() {
		for _, name := range append([]string{n.Name}, n.Also...) {
			for _, service := range n.Services {
				word := service.String()
				if service.ICMPType != AnyICMP {
					word = strings.TrimSuffix(word, "/0") // any code
				}
				out[name] = append(out[name], word)
			}
		}
	}
	return out
}

// Ports returns the ports of one protocol that the name stands for, none if it has no part in it.
func (n NamedService) Ports(p Protocol) []PortRange {
	var out []PortRange
	for _, s := range n.Services {
		if s.Protocol == p && s.Ports.First != 0 {
			out = append(out, s.Ports)
		}
	}
	return out
}

// FindService returns the service of a name, in whatever case.
func FindService(name string) (NamedService, bool) {
	name = strings.ToLower(name)
	for _, n := range NamedServices() {
		if n.Name == name || slices.Contains(n.Also, name) {
			return n, true
		}
	}
	return NamedService{}, false
}

// NamedServices returns all services that have a name, in the order of their names.
func NamedServices() []NamedService {
	return []NamedService{
		{Name: "amqp", Services: tcp(5672)},
		{Name: "bgp", Services: tcp(179)},
		{Name: "dns", Also: []string{"domain"}, Services: slices.Concat(udp(53), tcp(53))},
		{Name: "dns-over-tls", Also: []string{"dot"}, Services: tcp(853)},
		{Name: "elasticsearch", Services: tcp(9200)},
		{Name: "etcd", Services: slices.Concat(tcp(2379), tcp(2380))},
		{Name: "ftp", Services: tcp(21)},
		{Name: "http", Also: []string{"www"}, Services: tcp(80)},
		{Name: "https", Services: tcp(443)},
		{Name: "imap", Services: tcp(143)},
		{Name: "imaps", Services: tcp(993)},
		{Name: "ipsec", Also: []string{"ike"}, Services: slices.Concat(udp(500), udp(4500))},
		{Name: "kafka", Services: tcp(9092)},
		{Name: "kerberos", Services: slices.Concat(udp(88), tcp(88))},
		{Name: "kubernetes-api", Services: tcp(6443)},
		{Name: "ldap", Services: tcp(389)},
		{Name: "ldaps", Services: tcp(636)},
		{Name: "memcached", Services: tcp(11211)},
		{Name: "mongodb", Services: tcp(27017)},
		{Name: "mqtt", Services: tcp(1883)},
		{Name: "mssql", Services: tcp(1433)},
		{Name: "mysql", Also: []string{"mariadb"}, Services: tcp(3306)},
		{Name: "nfs", Services: tcp(2049)},
		{Name: "node-exporter", Services: tcp(9100)},
		{Name: "ntp", Services: udp(123)},
		{Name: "openvpn", Services: udp(1194)},
		{Name: "ping", Also: []string{"echo-request"}, Services: []Service{
			{Protocol: ICMP, ICMPType: 8}, {Protocol: ICMPv6, ICMPType: 128}}},
		{Name: "pop3", Services: tcp(110)},
		{Name: "pop3s", Services: tcp(995)},
		{Name: "postgresql", Also: []string{"postgres"}, Services: tcp(5432)},
		{Name: "prometheus", Services: tcp(9090)},
		{Name: "rdp", Services: slices.Concat(tcp(3389), udp(3389))},
		{Name: "redis", Services: tcp(6379)},
		{Name: "rsync", Services: tcp(873)},
		{Name: "sip", Services: slices.Concat(udp(5060), tcp(5060))},
		{Name: "smb", Services: tcp(445)},
		{Name: "smtp", Services: tcp(25)},
		{Name: "smtps", Services: tcp(465)},
		{Name: "snmp", Services: udp(161)},
		{Name: "ssh", Services: tcp(22)},
		{Name: "submission", Services: tcp(587)},
		{Name: "syslog", Services: udp(514)},
		{Name: "telnet", Services: tcp(23)},
		{Name: "tftp", Services: udp(69)},
		{Name: "vnc", Services: tcp(5900)},
		{Name: "vxlan", Services: udp(4789)},
		{Name: "winrm", Services: slices.Concat(tcp(5985), tcp(5986))},
		{Name: "wireguard", Services: udp(51820)},
	}
}

func tcp(port uint16) []Service { return servicesAt(TCP, port) }
func udp(port uint16) []Service { return servicesAt(UDP, port) }

func servicesAt(p Protocol, port uint16) []Service {
	return []Service{{Protocol: p, Ports: PortRange{port, port}, ICMPType: AnyICMP,
		ICMPCode: AnyICMP}}
}
