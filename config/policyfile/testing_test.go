package policyfile

import (
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

func parseOne(text string) (*policy.Policy, strictyaml.Warnings, error) {
	return Parse([]strictyaml.File{{Name: "p.yaml", Data: []byte(text)}})
}

const referencePolicy = "reference/policy.yaml"
