// Package policyfile turns policy files into a policy ([Parse]) and a policy into a policy file
// ([Marshal]). What is returned without an error is valid and normal: networks are masked,
// protocols that have names carry the number of the name, nothing is listed twice. What is valid
// but hardly meant is a warning. The package does no I/O.
//
// To read: group.go, rule.go and instance.go (one file to a [Fragment] of fragment.go), then
// join.go (all fragments to one policy: names, references, addresses).
//
//go:generate go test -run "^TestPolicySchemaIsCurrent$" -update .
package policyfile
