package cli

import (
	"fmt"
	"os"
	"os/user"
)

// Who names whoever calls a command, for those who read later who changed what.
func Who() string {
	who := fmt.Sprintf("user %d", os.Geteuid())
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return who
}
