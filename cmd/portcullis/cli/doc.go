// Package cli is what the commands share: how they end (exit.go), what is said of
// wrong usage and what help looks like (usage.go), the settings and the policy that
// they read (files.go), and how they ask the daemon (client.go).
package cli
