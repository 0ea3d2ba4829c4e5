package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

var errField = errors.New("no field of the pipeline")

// appendMatch appends a match as struct ofp_match (OpenFlow 1.5, section 7.2.3.1). The fields stay in the order of the text, in which
// each comes after those that it needs.
func appendMatch(b []byte, text string) ([]byte, error) {
	const oxm = 1
	at := len(b)
	b = append(b, 0, oxm, 0, 0)
	var of protocol
	for more := text != ""; more; {
		var word string
		word, text, more = strings.Cut(text, ",")
		name, value, hasValue := strings.Cut(word, "=")
		var err error
		if hasValue {
			b, err = of.append(b, name, value)
		} else {
			of, err = protocolOf(name)
			b = of.appendTo(b)
		}
		if err != nil {
			return b, fmt.Errorf("match %s: %w", word, err)
		}
	}
	return pad8(putLength(b, at), at), nil
}

// append appends a field of a match in which the protocol is known.
func (p protocol) append(b []byte, name, value string) ([]byte, error) {
	f, known := p.fields[name]
	if !known {
		f, known = fields[name]
	}
	if !known {
		return b, errField
	}
	return f.append(b, value)
}

func protocolOf(shorthand string) (protocol, error) {
	p, known := protocols[shorthand]
	if !known {
		return p, errField
	}
	return p, nil
}

// appendTo appends what the shorthand stands for.
func (p protocol) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, ethType.header())
	b = binary.BigEndian.AppendUint16(b, p.etherType)
	if p.number != 0 {
		b = append(binary.BigEndian.AppendUint32(b, ipProto.header()), p.number)
	}
	return b
}

// pad8 fills up with zeros what begins at a place, to a multiple of 8 bytes.
func pad8(b []byte, at int) []byte {
	var zeros [8]byte
	return append(b, zeros[:-(len(b)-at)&7]...)
}
