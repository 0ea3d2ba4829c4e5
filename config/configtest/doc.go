// Package configtest holds what the tests of settings and policy files share: texts with marked
// places, refusals, malicious and damaged texts, JSON Schemas.
package configtest
