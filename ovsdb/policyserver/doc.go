// Package policyserver makes the server of a policy database and runs it: stock ovsdb-server with
// the options that it needs, in a folder of its own. The commands `portcullis db` call it.
//
//   - folder.go says what is in the folder; listen.go, in which ways the server is reached.
//   - create.go makes a cluster's first member, a further one, or a relay; certificates.go, what
//     they and the hosts show each other.
//   - status.go prepares the database of the hosts' status: who may write what.
//   - arguments.go has the command lines, run.go runs them.
//   - look.go asks servers how they are; backup.go, restore.go and upgrade.go keep what they hold.
//   - tool.go calls ovsdb-tool and ovsdb-client.
//
// What hosts reach is a process of its own where TLS is used, a relay of the member beside it
// (door.go): the member itself takes no connection of a host, for whoever is let in there by TLS
// could speak as a member of the cluster.
package policyserver
