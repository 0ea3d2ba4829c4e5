// A generation as a policy. The daemon runs what is returned here when the files are not valid.

package history

import (
	"fmt"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Policy reads the files of a generation. Places in it name the generation: FILE@3:12:5.
func (s *Store) Policy(g Generation) (*policy.Policy, error) {
	texts, err := s.Texts(g)
	if err != nil {
		return nil, err
	}
	files := make([]strictyaml.File, len(texts))
	for i, text := range texts {
		files[i] = strictyaml.File{Name: fmt.Sprintf("%s@%d", g.Path(g.Files[i]), g.Number),
			Data: text}
	}
	p, _, err := policyfile.Parse(files)
	if err != nil {
		return nil, fmt.Errorf("generation %d is not valid any more:\n%w", g.Number, err)
	}
	return p, nil
}
