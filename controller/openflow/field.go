package openflow

import "encoding/binary"

// field is one that flows match or write.
type field struct {
	class  uint16
	number uint8
	size   uint8  // of a value, in bytes
	read   reader // nil = no text says its value
}

// The classes of fields: that of OpenFlow (OpenFlow 1.5, section 7.2.3.3), and those with which Open vSwitch began (ovs-fields(7)), NXM_OF
// and NXM_NX.
const (
	basic  = 0x8000
	older  = 0x0000
	nicira = 0x0001
)

// hasMask says in a header that a mask follows the value.
const hasMask = 1 << 8

// header is the field's OXM header (OpenFlow 1.5, section 7.2.3.2).
func (f field) header() uint32 {
	return uint32(f.class)<<16 | uint32(f.number)<<9 | uint32(f.size)
}

// append appends the field as OXM: header, value and, if the text has one, mask.
func (f field) append(b []byte, text string) ([]byte, error) {
	at := len(b)
	b, err := f.read(binary.BigEndian.AppendUint32(b, f.header()), text, int(f.size))
	if err != nil {
		return b, err
	}
	if len(b)-at-4 > int(f.size) {
		binary.BigEndian.PutUint32(b[at:], f.header()+uint32(f.size)|hasMask)
	}
	return b, nil
}

// What the shorthands of protocols stand for.
var (
	ethType = field{basic, 5, 2, readNumber}
	ipProto = field{basic, 10, 1, readNumber}
)

// fields are those of matches and of set_field, by the names that Open vSwitch prints.
var fields = map[string]field{
	"arp_op":    {basic, 21, 2, readNumber},
	"arp_sha":   {basic, 24, 6, readMAC},
	"arp_spa":   {basic, 22, 4, readNetwork},
	"arp_tpa":   {basic, 23, 4, readNetwork},
	"conj_id":   {nicira, 37, 4, readNumber},
	"ct_mark":   {nicira, 107, 4, readNumber},
	"ct_state":  {nicira, 105, 4, readState},
	"dl_vlan":   {basic, 6, 2, readVLAN},
	"dl_dst":    {basic, 3, 6, readMAC},
	"dl_src":    {basic, 4, 6, readMAC},
	"dl_type":   ethType,
	"in_port":   {basic, 0, 4, readPort},
	"ipv6_dst":  {basic, 27, 16, readNetwork},
	"ipv6_src":  {basic, 26, 16, readNetwork},
	"nd_sll":    {basic, 32, 6, readMAC},
	"nd_target": {basic, 31, 16, readNetwork},
	"nd_tll":    {basic, 33, 6, readMAC},
	"nw_dst":    {basic, 12, 4, readNetwork},
	"nw_frag":   {nicira, 26, 1, readFragment},
	"nw_proto":  ipProto,
	"nw_src":    {basic, 11, 4, readNetwork},
	"nw_ttl":    {nicira, 29, 1, readNumber},
	"reg0":      {nicira, 0, 4, readNumber},
	"reg1":      {nicira, 1, 4, readNumber},
	"reg2":      {nicira, 2, 4, readNumber},
	"reg3":      {nicira, 3, 4, readNumber},
	"vlan_tci":  {basic, 6, 2, readUntagged},
}

// protocol is what a shorthand such as tcp6 stands for, and the fields that it has.
type protocol struct {
	etherType uint16
	number    uint8 // of the IP protocol; 0 = any
	fields    map[string]field
}

var protocols = map[string]protocol{
	"arp":   {etherType: 0x0806},
	"rarp":  {etherType: 0x8035},
	"ip":    {etherType: 0x0800},
	"ipv6":  {etherType: 0x86dd},
	"icmp":  {0x0800, 1, messages(19, 20)},
	"icmp6": {0x86dd, 58, messages(29, 30)},
	"tcp":   {0x0800, 6, ports(13, 14)},
	"tcp6":  {0x86dd, 6, ports(13, 14)},
	"udp":   {0x0800, 17, ports(15, 16)},
	"udp6":  {0x86dd, 17, ports(15, 16)},
	"sctp":  {0x0800, 132, ports(17, 18)},
	"sctp6": {0x86dd, 132, ports(17, 18)},
}

func ports(src, dst uint8) map[string]field {
	return map[string]field{"tp_src": {basic, src, 2, readNumber}, "tp_dst": {basic, dst, 2, readNumber}}
}

func messages(kind, code uint8) map[string]field {
	return map[string]field{"icmp_type": {basic, kind, 1, readNumber}, "icmp_code": {basic, code, 1, readNumber}}
}
