// A whole policy from the texts of its files, for who has no folder.

package policyfile

import (
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Parse reads one policy from the files. It does no I/O. The error, if any, is of type
// [strictyaml.Errors] and holds every mistake of every file; there is no policy then. The warnings
// are returned in either case.
func Parse(files []strictyaml.File) (*policy.Policy, strictyaml.Warnings, error) {
	fragments := make([]*Fragment, len(files))
	for i, f := range files {
		fragments[i] = ParseFragment(f)
	}
	return Join(fragments)
}
