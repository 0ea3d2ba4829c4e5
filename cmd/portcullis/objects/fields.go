package objects

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Fields of objects as flags. What a flag says is put into the object as a policy file would have
// it, and read as such a file: what can be said, and what is said of a mistake, is the same.

// fields are the keys of an object, as in a policy file.
type fields map[string]any

// fieldsOf returns an object's.
func fieldsOf(v any) fields {
	text, err := json.Marshal(v)
	out := fields{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // objects of a policy can be written
	}
	delete(out, "at")
	return out
}

// flagged puts the flags that were set into fields. Each flag is called as its key, with dashes.
func (f fields) flagged(cmd *cobra.Command, keys ...string) {
	for _, key := range keys {
		flag := cmd.Flags().Lookup(strings.ReplaceAll(key, "_", "-"))
		if flag == nil {
			flag = cmd.Flags().Lookup(singular(key))
		}
		if flag == nil || !flag.Changed {
			continue
		}
		f.put(key, flag.Value)
	}
}

// singular is the flag of a list, which takes one entry each time.
func singular(key string) string {
	one := map[string]string{"addresses": "address", "allowed_addresses": "allowed",
		"external_sources": "external-source", "ethertypes": "ethertype", "groups": "group",
		"limits": "limit"}
	return one[key]
}

// put sets one field; an empty text takes it away.
func (f fields) put(key string, value pflag.Value) {
	list, isList := value.(pflag.SliceValue)
	switch {
	case isList:
		f.putList(key, list.GetSlice())
	case value.Type() == "bool":
		f[key] = value.String() == "true"
	case value.String() == "":
		delete(f, key)
	default:
		f[key] = value.String()
	}
}

func (f fields) putList(key string, words []string) {
	list := []any{}
	for _, word := range words {
		switch address, mac, hasMAC := strings.Cut(word, " "); {
		case word == "":
		case key == "allowed_addresses" && hasMAC:
			list = append(list, fields{"address": address, "mac": mac})
		case key == "ethertypes":
			list = append(list, json.RawMessage(word))
		default:
			list = append(list, word)
		}
	}
	if key != "limits" {
		f[key] = list
		return
	}
	limits := map[string]any{}
	for _, word := range words {
		name, number, _ := strings.Cut(word, "=")
		limits[name] = json.RawMessage(number)
	}
	f[key] = limits
}

// read reads an object, as an entry of a list of a policy file. about names it in messages.
func read(about, list string, f any) (*policy.Policy, error) {
	text, err := yaml(fields{list: []any{f}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", about, err)
	}
	p, err := policyfile.ParsePart(strictyaml.File{Name: about, Data: text})
	problems, isProblem := err.(strictyaml.Errors)
	if !isProblem {
		return p, err
	}
	entry := list + "[0]"
	lines := make([]string, len(problems))
	for n, one := range problems {
		field := strings.TrimPrefix(strings.TrimPrefix(one.Field, entry), ".")
		lines[n] = strings.ReplaceAll(about+": "+field+": "+one.Message, ": : ", ": ")
	}
	return nil, fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// yaml writes fields; numbers that are no JSON, such as 0x88cc, stay as they are written.
func yaml(v any) ([]byte, error) {
	switch v := v.(type) {
	case json.RawMessage:
		for _, c := range v {
			if !strings.ContainsRune("-0123456789abcdefABCDEFxX", rune(c)) {
				return json.Marshal(string(v))
			}
		}
		return v, nil
	case fields:
		return mapping(v)
	case map[string]any:
		return mapping(v)
	case []any:
		parts := make([]string, len(v))
		for n, one := range v {
			text, err := yaml(one)
			if err != nil {
				return nil, err
			}
			parts[n] = string(text)
		}
		return []byte("[" + strings.Join(parts, ", ") + "]"), nil
	}
	return json.Marshal(v)
}

func mapping(m map[string]any) ([]byte, error) {
	var parts []string
	for key, one := range m {
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		text, err := yaml(one)
		if err != nil {
			return nil, err
		}
		parts = append(parts, string(name)+": "+string(text))
	}
	return []byte("{" + strings.Join(parts, ", ") + "}"), nil
}
