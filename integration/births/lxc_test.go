//go:build integration

package births

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// lxcHost is what a container needs of the lab, and functions that make one: its init sets nothing
// of its network, which LXC does.
const lxcHost = `
mount -t sysfs sysfs /sys && mount -t tmpfs cgroup /sys/fs/cgroup
for one in devices memory pids freezer; do
    mkdir "/sys/fs/cgroup/$one" && mount -t cgroup -o "$one" cgroup "/sys/fs/cgroup/$one"
done
mkdir -p /var/lib/lxc /var/cache/lxc
container() { # NAME DEVICE MAC-BYTE ADDRESS-BYTE GROUP
    lxc-create --name "$1" --template busybox >/dev/null 2>&1 || return
    sed -i '/^lxc.net/d' "/var/lib/lxc/$1/config"
    printf '#!/bin/sh\n/bin/mount -a\n' >"/var/lib/lxc/$1/rootfs/etc/init.d/rcS"
    cat >>"/var/lib/lxc/$1/config" <<X
lxc.net.0.type = veth
lxc.net.0.veth.pair = $2
lxc.net.0.hwaddr = 02:00:00:00:00:$3
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 203.0.113.$4/24
lxc.net.0.ipv4.gateway = 203.0.113.1
lxc.hook.version = 1
lxc.hook.pre-start = portcullis hook lxc --group $5 2>>/run/lab/hooks.log
lxc.hook.post-stop = portcullis hook lxc 2>>/run/lab/hooks.log
X
}
begin() {
    lxc-start --name "$1" --logfile "$1.log" --logpriority INFO || { cat "$1.log" /run/lab/hooks.log; return 1; }
    nsenter --target "$(lxc-info -n "$1" -pH)" --net ethtool --offload eth0 tx off >/dev/null
}
inside() { nsenter --target "$(lxc-info -n "$1" -pH)" --net "${@:2}"; }
listen() {
    inside "$1" python3 -m http.server "$2" >/dev/null 2>&1 &
    listening() { inside "$1" ss -Hltn "sport = :$2" | grep -q .; }
    await listening "$1" "$2"
}
fetch() { inside "$1" python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$2" "$3"; }
`

const lxcSettings = `uplinks: [eth1]
gateways: [203.0.113.1]
policy: policy
`

const tierGroups = `groups:
  - name: web
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
  - name: db
    rules:
      - {direction: ingress, protocol: tcp, ports: 3306, group: web}
`

// Two containers that LXC starts, whose hooks put them into the policy: created, reached as the
// groups say and not otherwise, rebooted, with a second card, forged, cloned, destroyed.
func TestLXC(t *testing.T) {
	t.Parallel()
	l := openLab(t, "lxc-start", "lxc-create", "busybox")
	l.run(lxcHost)
	l.start(lxcSettings, tierGroups)
	l.run("container web-1 tap-web-1 11 11 web && container db-1 tap-db-1 12 12 db")
	l.run("begin web-1 && begin db-1")
	l.awaits("tap-web-1", "applied")
	l.awaits("tap-db-1", "applied")
	require.Contains(t, l.run("cat /etc/portcullis/policy/web-1.yaml"), "groups: [web]")
	l.run("for port in 80 22; do listen web-1 $port; done; listen db-1 3306")
	l.reaches("outside", "203.0.113.11", 80, true)
	l.reaches("outside", "203.0.113.11", 22, false)
	l.run("fetch web-1 203.0.113.12 3306")
	l.reaches("outside", "203.0.113.12", 3306, false)
	l.refused("fetch db-1 203.0.113.11 22")
	t.Run("reboot", func(t *testing.T) {
		l.run("lxc-stop --name web-1 --kill && begin web-1 && lxc-stop --name db-1 --kill && begin db-1")
		l.awaits("tap-web-1", "applied")
		l.awaits("tap-db-1", "applied")
		l.run("listen web-1 80; listen db-1 3306; fetch web-1 203.0.113.12 3306")
		l.reaches("outside", "203.0.113.11", 80, true)
		l.reaches("outside", "203.0.113.12", 3306, false)
	})
	t.Run("forged", func(t *testing.T) {
		l.run("inside web-1 ip link set eth0 address 02:00:00:00:00:77")
		l.refused("inside web-1 busybox ping -c 1 -W 1 203.0.113.1")
		l.run("inside web-1 ip link set eth0 address 02:00:00:00:00:11")
		l.run("await fetch web-1 203.0.113.12 3306")
		l.run("inside web-1 ip address add 203.0.113.66/24 dev eth0")
		l.refused("inside web-1 busybox ping -c 1 -W 1 -I 203.0.113.66 203.0.113.12")
	})
	t.Run("a second card", func(t *testing.T) {
		l.run(`ip link add tap-web-1b type veth peer name late && ip link set tap-web-1b up
ip link set late address 02:00:00:00:00:13 netns "$(lxc-info -n web-1 -pH)"
inside web-1 ip address add 203.0.113.13/32 dev late && inside web-1 ip link set late up`)
		require.NotContains(t, l.run("ovs-vsctl list-ports br-int"), "tap-web-1b")
		l.run("portcullis instance add web-1b --group web " +
			"--port name=tap-web-1b,mac=02:00:00:00:00:13,address=203.0.113.13 --wait")
		l.awaits("tap-web-1b", "applied")
		l.run("portcullis instance remove web-1b --wait")
		require.NotContains(t, l.run("ovs-vsctl list-ports br-int"), "tap-web-1b")
	})
	t.Run("a clone with the MAC of the first", func(t *testing.T) {
		l.run("container clone tap-clone 11 14 web")
		out := l.refused("begin clone")
		require.Contains(t, out, "02:00:00:00:00:11 is the MAC of the port")
		require.Contains(t, out, "/etc/portcullis/policy/web-1.yaml:")
		l.refused("ls /etc/portcullis/policy/clone.yaml")
		l.reaches("outside", "203.0.113.11", 80, true)
	})
	t.Run("a group that there is not", func(t *testing.T) {
		l.run("container typo tap-typo 15 15 wbe")
		require.Contains(t, l.refused("begin typo"), `there is no group "wbe"; did you mean "web"?`)
	})
	t.Run("without a daemon", func(t *testing.T) {
		l.run("kill $(pgrep -f 'portcullis run') && container late tap-late 16 16 web && begin late")
		l.run("listen late 80")
		l.reaches("outside", "203.0.113.16", 80, false)
		l.run("portcullis run >>portcullis.log 2>&1 & await portcullis status --wait")
		l.awaits("tap-late", "applied")
		l.reaches("outside", "203.0.113.16", 80, true)
	})
	t.Run("destroyed", func(t *testing.T) {
		l.run("lxc-stop --name web-1 --kill && lxc-destroy --name web-1")
		l.run("gone() { ! test -e /etc/portcullis/policy/web-1.yaml; }; await gone")
		l.run("await portcullis status --wait")
		require.NotContains(t, l.run("portcullis status; ovs-vsctl list-ports br-int"), "tap-web-1")
		l.reaches("outside", "203.0.113.11", 80, false)
	})
}
