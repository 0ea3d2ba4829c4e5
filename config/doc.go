// Package config reads what people write: the settings of the daemon ([LoadSettings]) and the policy ([LoadPolicy]).
//
// Both are strict. An unknown key, a value of the wrong kind, a name that means nothing: each is an [Error] that says where it stands
// (file:line:column), which field it is, what is wrong and what would be right; and all of them are reported at once. What is returned
// without an error is valid and normal: networks are masked, protocols that have names carry the number of the name, nothing is
// listed twice. What is valid but hardly meant is a [Warning].
//
// The package watches no file and keeps no state beyond what a [Loader] remembers of the files that it has read; it logs nothing.
//
// docs/configuration.md is made from the files in reference/, which document every key.
//
// To read: document.go and node.go (YAML to nodes that know where they are; plain.go refuses what could be read in two ways, syntax.go
// and scanner.go tell what is wrong with a text that is no YAML), then group.go, rule.go and instance.go (one file to a
// [Fragment] of fragment.go), then join.go (all fragments to one [policy.Policy]: names, references, addresses). That is the
// specification; loader.go and index.go do the same again and again at the cost of what changed. Settings are in settings.go.
//
//go:generate go test -run "^(TestConfigurationPage|TestSchemasAreCurrent)$" -update .
package config
