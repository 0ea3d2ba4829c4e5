package ofswitch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// This file reads and sets limits of conntrack zones, and runs commands of ovs-vswitchd.

// The limits of conntrack zones are no part of OpenFlow. What every version that has them knows is
// the control command dpctl/ct-set-limits of ovs-vswitchd. Since 3.3 the database has them, too;
// and where it has one of a datapath, whoever put it there, the command is refused for all zones of
// this datapath: then ours go into the database. See docs/decisions/0010-limits.md.

// databaseTool is the command that changes Open vSwitch's database.
const databaseTool = "ovs-vsctl"

// heldByDatabase is what ovs-vswitchd says where limits of the datapath are in the database.
const heldByDatabase = "set via database"

// zonesAtOnce bounds the length of one command.
const zonesAtOnce = 1000

var (
	errNoControl = errors.New("the control socket of ovs-vswitchd is looked for beside the " +
		"bridge's management socket, and the setting openflow names no unix socket")
	zoneLine = regexp.MustCompile(`(?m)^zone=(\d+),limit=(\d+),count=(\d+)`)
)

// ZoneLimits reads back the limits of the conntrack zones of the datapath, whoever set them.
func (s *Switch) ZoneLimits(ctx context.Context) ([]flows.ZoneLimit, error) {
	out, err := s.control(ctx, "dpctl/ct-get-limits")
	if err != nil {
		return nil, fmt.Errorf("read the limits of connections: %w", err)
	}
	return parseZoneLimits(out)
}

// parseZoneLimits reads the limits out of what dpctl/ct-get-limits prints.
func parseZoneLimits(text string) ([]flows.ZoneLimit, error) {
	zones, err := parseZoneEntries(text)
	var out []flows.ZoneLimit
	for _, z := range zones {
		out = append(out, z.ZoneLimit)
	}
	return out, err
}

// parseZoneEntries reads what dpctl/ct-get-limits prints; a limit of 0 is none:
//
//	default limit=0
//	zone=3,limit=10,count=0
func parseZoneEntries(text string) ([]ZoneEntries, error) {
	var out []ZoneEntries
	for _, m := range zoneLine.FindAllStringSubmatch(text, -1) {
		zone, errZone := strconv.ParseUint(m[1], 10, 16)
		limit, errLimit := strconv.ParseUint(m[2], 10, 32)
		known, errKnown := strconv.ParseUint(m[3], 10, 32)
		if err := errors.Join(errZone, errLimit, errKnown); err != nil {
			return nil, fmt.Errorf("read the limits of connections: %w: %q", err, m[0])
		}
		if limit > 0 {
			out = append(out, ZoneEntries{flows.ZoneLimit{Zone: uint16(zone),
				Connections: uint32(limit)}, uint32(known)})
		}
	}
	return out, nil
}

// LimitZones sets the limits of zones, and takes away those of others. Connections that are there
// stay, also where they are more.
func (s *Switch) LimitZones(ctx context.Context, limits []flows.ZoneLimit,
	unlimited []uint16) error {
	err := s.limitByControl(ctx, limits, unlimited)
	if err != nil && strings.Contains(err.Error(), heldByDatabase) {
		return s.limitByDatabase(ctx, limits, unlimited)
	}
	return err
}

// limitByDatabase is LimitZones where the database has limits. What was set by command before, the
// database does not know and cannot take away: so each zone gets a limit in it first.
func (s *Switch) limitByDatabase(ctx context.Context, limits []flows.ZoneLimit,
	unlimited []uint16) error {
	var set, del [][]string
	for _, l := range limits {
		set = append(set, s.zoneCommand("set", l.Zone, strconv.Itoa(int(l.Connections))))
	}
	for _, zone := range unlimited {
		set = append(set, s.zoneCommand("set", zone, strconv.Itoa(math.MaxUint32)))
		del = append(del, s.zoneCommand("del", zone))
	}
	for _, commands := range [][][]string{set, del} {
		for batch := range slices.Chunk(commands, zonesAtOnce) {
			if err := s.transact(ctx, batch); err != nil {
				return fmt.Errorf("limit connections by the database: %w", err)
			}
		}
	}
	return nil
}

// zoneCommand is a command of ovs-vsctl for one zone.
func (s *Switch) zoneCommand(verb string, zone uint16, more ...string) []string {
	return append([]string{verb + "-zone-limit", s.datapath(), strconv.Itoa(int(zone))}, more...)
}

// transact runs commands of ovs-vsctl as one transaction, and waits until ovs-vswitchd follows it.
func (s *Switch) transact(ctx context.Context, commands [][]string) error {
	var line []string
	if s.opts.Database != "" {
		line = append(line, "--db="+s.opts.Database)
	}
	for _, command := range commands {
		line = append(append(line, "--"), command...)
	}
	_, err := (&Switch{opts: Options{Command: databaseTool}}).output(ctx, nil, line...)
	return controlError(err)
}

// limitByControl is LimitZones where the limits are ovs-vswitchd's alone.
func (s *Switch) limitByControl(ctx context.Context, limits []flows.ZoneLimit,
	unlimited []uint16) error {
	for ; len(limits) > 0; limits = limits[min(zonesAtOnce, len(limits)):] {
		var words []string
		for _, l := range limits[:min(zonesAtOnce, len(limits))] {
			words = append(words, l.String())
		}
		if _, err := s.control(ctx, "dpctl/ct-set-limits", words...); err != nil {
			return fmt.Errorf("limit connections: %w", err)
		}
	}
	for ; len(unlimited) > 0; unlimited = unlimited[min(zonesAtOnce, len(unlimited)):] {
		var words []string
		for _, zone := range unlimited[:min(zonesAtOnce, len(unlimited))] {
			words = append(words, strconv.Itoa(int(zone)))
		}
		zones := "zone=" + strings.Join(words, ",")
		if _, err := s.control(ctx, "dpctl/ct-del-limits", zones); err != nil {
			return fmt.Errorf("no longer limit connections: %w", err)
		}
	}
	return nil
}

// control runs a command of ovs-vswitchd on the bridge's datapath.
func (s *Switch) control(ctx context.Context, command string, args ...string) (string, error) {
	return s.Control(ctx, append([]string{command, s.provider()}, args...)...)
}

// Control runs a command of ovs-vswitchd, such as dpif/show, and returns what it printed: it is a
// [Runner].
func (s *Switch) Control(ctx context.Context, args ...string) (string, error) {
	socket, err := s.controlSocket()
	if err != nil {
		return "", err
	}
	out, err := unixctl.Ask(ctx, socket, args[0], args[1:]...)
	return out, controlError(err)
}

// Version asks ovs-vswitchd which release it is: "3.1.0".
func (s *Switch) Version(ctx context.Context) (string, error) {
	out, err := s.Control(ctx, "version")
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	line, _, _ := strings.Cut(out, "\n")
	return line[strings.LastIndexByte(line, ' ')+1:], nil
}

// datapath is the type of the bridge's datapath.
func (s *Switch) datapath() string { return cmp.Or(s.opts.DatapathType, "system") }

// provider is the bridge's datapath as commands of ovs-vswitchd name it.
func (s *Switch) provider() string { return s.datapath() + "@ovs-" + s.datapath() }

// controlError puts what a command of ovs-vswitchd failed of into its own words.
func controlError(err error) error {
	var refused *unixctl.RefusedError
	if errors.As(err, &refused) {
		return errors.New(lineOf(refused.Words))
	}
	var failed *commandError
	if errors.As(err, &failed) && failed.said != "" {
		return errors.New(lineOf(failed.said))
	}
	return err
}

// lineOf returns the line that says most: the last one says no more than that there was an error,
// unless it is the only one behind the log.
func lineOf(said string) string {
	for _, line := range strings.Split(said, "\n") {
		if !strings.Contains(line, "|WARN|") {
			return strings.TrimPrefix(line, controlTool+": ")
		}
	}
	return said
}

// controlSocket finds the control socket of ovs-vswitchd as ovs-appctl(8) does, in the folder of
// the bridge's management socket.
func (s *Switch) controlSocket() (string, error) {
	path, ok := strings.CutPrefix(s.opts.Target, "unix:")
	if !ok {
		return "", errNoControl
	}
	folder := filepath.Dir(path)
	pid, err := os.ReadFile(filepath.Join(folder, "ovs-vswitchd.pid"))
	if err == nil {
		socket := filepath.Join(folder, "ovs-vswitchd."+strings.TrimSpace(string(pid))+".ctl")
		if _, err := os.Stat(socket); err == nil {
			return socket, nil
		}
	}
	return filepath.Join(folder, "ovs-vswitchd.ctl"), nil
}
