// Package births tests Portcullis where instances come from: under the programs that make machines
// and plug their devices in. Each test has a machine of its own, the lab of the tutorial
// (docs/examples/lab.sh), in which that program runs as on a host. `make test` runs all of it but
// what takes long; `make test-births` runs everything.
package births
