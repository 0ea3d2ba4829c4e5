package exoscale

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/policy"
)

// Instances, for reading, and what clients ask about them that a policy does not know. Invariant:
// every key that clients read without looking whether it is there, is there.

// The one type of instances, and the one template: a policy knows of neither.
const (
	typeID     = "71004023-bb72-4a97-b1e9-bc66dfce9470"
	templateID = "0e7c2b0b-6d9c-4b5b-a0a5-1f7d4f6a2e11"
)

// byID is a reference.
type byID struct {
	ID string `json:"id"`
}

// instance is an instance as it is answered.
type instance struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	State          string `json:"state"` // running = it is on a host
	PublicIP       string `json:"public-ip,omitempty"`
	Assignment     string `json:"public-ip-assignment"`
	IPv6           string `json:"ipv6-address,omitempty"`
	MAC            string `json:"mac-address,omitempty"`
	SecurityGroups []byID `json:"security-groups"`
	Type           byID   `json:"instance-type"`
	Template       byID   `json:"template"`
	HasSecureboot  bool   `json:"secureboot-enabled"`
	HasTPM         bool   `json:"tpm-enabled"`
}

func (s *seen) shownInstance(i *policy.Instance) instance {
	out := instance{ID: instanceID(i), Name: s.short(i.Name), State: "running", Assignment: "none",
		SecurityGroups: []byID{}, Type: byID{typeID}, Template: byID{templateID}}
	if i.Host == policy.Nowhere {
		out.State = "stopped"
	}
	for n, p := range i.Ports {
		if n == 0 {
			out.MAC = p.MAC.String()
		}
		for _, a := range p.Addresses {
			switch {
			case a.Addr().Is4() && out.PublicIP == "":
				out.PublicIP, out.Assignment = a.Addr().String(), "inet4"
			case a.Addr().Is6() && out.IPv6 == "":
				out.IPv6 = a.Addr().String()
			}
		}
	}
	if out.PublicIP != "" && out.IPv6 != "" {
		out.Assignment = "dual"
	}
	for _, g := range i.Groups {
		out.SecurityGroups = append(out.SecurityGroups, byID{s.Groups[g]})
	}
	return out
}

func listInstances(r *request, s *seen) (any, error) {
	query := r.URL.Query()
	var address netip.Addr
	if text := query.Get("ip-address"); text != "" {
		var err error
		if address, err = netip.ParseAddr(text); err != nil {
			return nil, apiserver.Refusal(http.StatusBadRequest, "?ip-address: %v", err)
		}
	}
	list := []instance{}
	for _, i := range s.instances() {
		// none is managed by anything, or has labels
		if !query.Has("manager-id") && !query.Has("manager-type") && !query.Has("labels") &&
			(!address.IsValid() || owns(i, address)) {
			list = append(list, s.shownInstance(i))
		}
	}
	return map[string][]instance{"instances": list}, nil
}

func owns(i *policy.Instance, a netip.Addr) bool {
	for n := range i.Ports {
		if i.Ports[n].Owns(a) {
			return true
		}
	}
	return false
}

func showInstance(r *request, s *seen) (any, error) {
	i := s.instance(r.PathValue("id"))
	if i == nil {
		return nil, none("instance", r.PathValue("id"))
	}
	return s.shownInstance(i), nil
}

// target reads the instance that a body names. Clients send other keys of it, too, which mean
// nothing.
func target(body []byte) (id string, err error) {
	var outer struct{ Instance json.RawMessage }
	if err := decode(body, &outer); err != nil {
		return "", err
	}
	var named byID
	if err := json.Unmarshal(outer.Instance, &named); err != nil || named.ID == "" {
		return "", apiserver.Refusal(http.StatusBadRequest,
			`instance: must name one by its id: {"instance":{"id":"..."}}`)
	}
	return named.ID, nil
}

func showInstanceType(r *request, _ *seen) (any, error) {
	if r.PathValue("id") != typeID {
		return nil, none("instance type", r.PathValue("id"))
	}
	return struct {
		byID
		Family       string `json:"family"`
		Size         string `json:"size"`
		CPUs         int    `json:"cpus"`
		Memory       int    `json:"memory"`
		IsAuthorized bool   `json:"authorized"`
	}{byID{typeID}, "portcullis", "unknown", 0, 0, false}, nil
}

func showTemplate(r *request, _ *seen) (any, error) {
	if r.PathValue("id") != templateID {
		return nil, none("template", r.PathValue("id"))
	}
	return struct {
		byID
		Name       string `json:"name"`
		Visibility string `json:"visibility"`
	}{byID{templateID}, "unknown", "private"}, nil
}

func showReverseDNS(r *request, _ *seen) (any, error) {
	return nil, none("name of the instance", r.PathValue("id"))
}
