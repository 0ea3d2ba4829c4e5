package ofswitch

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// This file is the room for fragments: how full it is, and that it is large enough.

// The connection tracker puts datagrams together from their fragments, and what is not complete
// waits: in the userspace datapath at most so many fragments, in the kernel so many bytes of its
// memory. Both are one room for all ports.

const (
	// mostFragments is what the userspace datapath can be told to hold (IPF_NFRAG_UBOUND in
	// lib/ipf.c); by itself it holds 1,000, and so it does again when ovs-vswitchd was restarted.
	mostFragments = 5000
	// wantedBytes of the kernel's memory hold some 26,000 fragments of 1,500 bytes. By itself it
	// takes 4 MiB.
	wantedBytes = 64 << 20
)

var (
	maxFragments  = regexp.MustCompile(`max num frags \(v4/v6\): (\d+)`)
	heldFragments = regexp.MustCompile(`(?m)^\s*num frag: (\d+)`)
	errReassembly = errors.New("an answer about fragments that is not understood")
)

// Reassembly is how much waits to be put together, and how much may. The unit is a fragment in the
// userspace datapath, a byte of memory in the kernel's, of which it is what IPv4 takes: what IPv6
// takes the kernel does not tell.
type Reassembly struct{ Held, Limit uint64 }

// Reassembly asks how full the room for fragments is.
func (s *Switch) Reassembly(ctx context.Context) (Reassembly, error) {
	if s.isKernel() {
		return kernelReassembly()
	}
	out, err := s.control(ctx, "dpctl/ipf-get-status")
	if err != nil {
		return Reassembly{}, fmt.Errorf("count fragments: %w", err)
	}
	return parseReassembly(out)
}

func parseReassembly(text string) (r Reassembly, err error) {
	held, limit := heldFragments.FindStringSubmatch(text), maxFragments.FindStringSubmatch(text)
	if held == nil || limit == nil {
		return r, fmt.Errorf("count fragments: %w: %q", errReassembly, text)
	}
	var errs [2]error
	r.Held, errs[0] = strconv.ParseUint(held[1], 10, 64)
	r.Limit, errs[1] = strconv.ParseUint(limit[1], 10, 64)
	return r, errors.Join(errs[:]...)
}

// MakeRoom has the userspace datapath hold as many fragments as it can. The kernel's room is a
// setting of the whole host, which is not touched: an error says which is smaller than what holds
// the default limits of ports (docs/decisions/0006-fragments.md).
func (s *Switch) MakeRoom(ctx context.Context) error {
	if s.isKernel() {
		return cmp.Or(isWide("net.ipv4.ipfrag_high_thresh"),
			isWide("net.netfilter.nf_conntrack_frag6_high_thresh"))
	}
	r, err := s.Reassembly(ctx)
	if err != nil || r.Limit >= mostFragments {
		return err
	}
	if _, err := s.control(ctx, "dpctl/ipf-set-max-nfrags",
		strconv.Itoa(mostFragments)); err != nil {
		return fmt.Errorf("hold more fragments: %w", err)
	}
	return nil
}

func (s *Switch) isKernel() bool {
	return s.opts.DatapathType == "" || s.opts.DatapathType == "system"
}

// isWide says why a setting of the kernel is too small. One that is not there, as that of IPv6 is
// not before anybody tracks it, is none.
func isWide(setting string) error {
	n, err := readSetting(setting)
	if errors.Is(err, os.ErrNotExist) || err == nil && n >= wantedBytes {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("whoever sends incomplete fragments may stop those of others: %s is %d; "+
		"have it %d or more", setting, n, wantedBytes)
}

func readSetting(setting string) (uint64, error) {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(setting, ".", "/"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// kernelReassembly reads "FRAG: inuse 3 memory 7512" of /proc/net/sockstat.
func kernelReassembly() (r Reassembly, err error) {
	if r.Limit, err = readSetting("net.ipv4.ipfrag_high_thresh"); err != nil {
		return r, fmt.Errorf("count fragments: %w", err)
	}
	file, err := os.Open("/proc/net/sockstat")
	if err != nil {
		return r, fmt.Errorf("count fragments: %w", err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 5 && words[0] == "FRAG:" {
			r.Held, err = strconv.ParseUint(words[4], 10, 64)
			return r, err
		}
	}
	return r, fmt.Errorf("count fragments: %w", errReassembly)
}
