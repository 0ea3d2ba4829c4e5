package apiserver

import (
	"encoding/json"
	"net/http"
)

// JSON merge patch (RFC 7396): what PATCH does to an object.

// merged is an object with a patch merged into it.
func merged(object any, patch []byte) ([]byte, error) {
	var target, change any
	if err := json.Unmarshal(marshal(object), &target); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &change); err != nil {
		return nil, problemf(http.StatusBadRequest, "the body is no JSON: %v", err)
	}
	if _, isObject := change.(map[string]any); !isObject {
		return nil, problemf(http.StatusBadRequest, "a merge patch of an object must be an object")
	}
	return marshal(mergePatch(target, change)), nil
}

// mergePatch is the algorithm of RFC 7396, section 2.
func mergePatch(target, patch any) any {
	change, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	out, isObject := target.(map[string]any)
	if !isObject {
		out = map[string]any{}
	}
	for key, value := range change {
		if value == nil {
			delete(out, key)
			continue
		}
		out[key] = mergePatch(out[key], value)
	}
	return out
}
