// Package config reads the settings of the daemon ([LoadSettings]) and judges a policy by them and
// by the host that they are of ([Settings.Check], [Settings.HostWarning]).
//
// What people write is read strictly: an unknown key, a value of the wrong kind, a name that means
// nothing is an error that says where it stands (file:line:column), which field it is, what is
// wrong and what would be right, and all of them are reported at once. The rest of the wing:
//
//   - strictyaml: the accepted part of YAML, and JSON, as nodes that know where they are;
//   - policyfile: a policy file to a policy, and back;
//   - policydir: the files of a policy, read again and again at the cost of what changed;
//   - convert: security groups of clouds as a policy.
//
// docs/configuration.md is made from reference/ and policyfile/reference/, which document every
// key.
//
//go:generate go test -run "^(TestConfigurationPage|TestSettingsSchemaIsCurrent)$" -update .
package config
