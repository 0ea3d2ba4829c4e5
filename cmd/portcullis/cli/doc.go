// Package cli is what the commands share: how they end (exit.go), the settings and the policy that
// they read (files.go), and how they ask the daemon (client.go).
package cli
