// Package strictyaml reads the part of YAML that can be read in one way only, and JSON, for
// settings and policy files alike. It returns nodes that know where they are, and reports every
// mistake with its place (file:line:column), its field, what is wrong and what would be right.
//
// To read: document.go (bytes to a tree), node.go (values of the tree), plain.go (what is refused
// although it is YAML), then syntax.go and scanner.go (why a text is no YAML). The package does no
// I/O.
package strictyaml
