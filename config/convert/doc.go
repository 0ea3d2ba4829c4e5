// Package convert makes policies of security groups that are described in the formats of clouds:
// [Convert].
//
// It is pure. What cannot be expressed exactly is an error that names the group and the rule;
// nothing is left out silently. The policy has groups alone, and is one that [policy.Validate]
// accepts.
//
// To read: convert.go, then exo.go and aws.go, each one format with its meaning.
package convert
