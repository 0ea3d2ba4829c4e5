package openflow_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Whatever a switch prints of a foreign flow: an error, or a match that can be read again.
func FuzzMatch(f *testing.F) {
	f.Add("ct_state=-new-inv+trk,ct_mark=0x5,udp6,reg1=0x7/0xff,in_port=5,vlan_tci=0x0000/0x1fff,dl_src=02:00:00:00:00:01,ipv6_src=2001:db8::/64,nw_frag=later,tp_dst=0x50/0xfff0")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := openflow.ParseMatch(text).Append(nil)
		if err != nil || len(text) > 1000 {
			return
		}
		require.Zero(t, len(b)%8)
		end := int(binary.BigEndian.Uint16(b[2:]))
		require.InDelta(t, len(b), end, 7)
		at := 4
		for at < end {
			at += 4 + int(b[at+3])
		}
		require.Equal(t, end, at)
	})
}

// Whatever the actions are: an error, or a list of them, each of which says its length.
func FuzzActions(f *testing.F) {
	f.Add("set_field:0x1/0x1->reg0,ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[])),resubmit(,40)")
	f.Add("meter:5,output:3,CONTROLLER:128,push:NXM_OF_IP_SRC[],pop:NXM_OF_IP_SRC[],ct_clear,conjunction(7,1/3)")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := openflow.ParseActions(text).Append(nil)
		if err != nil || len(text) > 1000 {
			return
		}
		at := 0
		for at < len(b) {
			length := int(binary.BigEndian.Uint16(b[at+2:]))
			require.GreaterOrEqual(t, length, 8)
			require.Zero(t, length%8)
			at += length
		}
		require.Equal(t, len(b), at)
	})
}
