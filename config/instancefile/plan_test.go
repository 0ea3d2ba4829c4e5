package instancefile

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
)

const groups = `groups:
  - name: web
instances:
  - {name: old, groups: [web], ports: [{name: tap9, mac: "02:00:00:00:00:09", addresses: [192.0.2.9]}]}
`

// web is an instance whose port, MAC and address end in a number.
func web(number byte, in ...string) policy.Instance {
	return policy.Instance{Name: "web-1", Groups: in, Ports: []policy.Port{{Name: "tap1",
		MAC:       policy.MAC{2, 0, 0, 0, 0, number},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, number}), 32)}}}}
}

func put(number byte, in ...string) Change {
	return Change{Name: "web-1", Edit: edit.PutInstance(web(number, in...))}
}

var remove = Change{Name: "web-1", Edit: edit.RemoveInstance("web-1")}

func folder(texts map[string]string) (out []policydir.Content) {
	for _, name := range []string{"a.yaml", "groups.yaml", "web-1.yaml"} {
		if text, isThere := texts[name]; isThere {
			out = append(out, content("p/"+name, []byte(text)))
		}
	}
	return out
}

func names(files []policydir.Content) (out []string) {
	for _, f := range files {
		out = append(out, filepath.Base(f.Path))
	}
	return out
}

func TestAnInstanceHasAFileOfItsOwn(t *testing.T) {
	files := folder(map[string]string{"groups.yaml": groups})
	added, err := put(11, "web").Plan("p", files)
	require.NoError(t, err)
	require.Equal(t, []string{"groups.yaml", "web-1.yaml"}, names(added.Files))
	require.Len(t, added.After.Instances, 2)
	require.Len(t, added.Before.Instances, 1)

	again, err := put(11, "web").Plan("p", added.Files)
	require.NoError(t, err)
	require.Equal(t, added.Files, again.Files, "it is all there")
	changed, err := put(12).Plan("p", added.Files)
	require.NoError(t, err)
	require.Contains(t, string(changed.Files[1].Text), "192.0.2.12")
	require.NotContains(t, string(changed.Files[1].Text), "web]")

	gone, err := remove.Plan("p", changed.Files)
	require.NoError(t, err)
	require.Equal(t, files, gone.Files)
	_, err = remove.Plan("p", files)
	require.ErrorContains(t, err, "there is none of this name")
	nothing := Change{Name: "web-1", Edit: edit.All()}
	same, err := nothing.Plan("p", files)
	require.NoError(t, err)
	require.Equal(t, files, same.Files, "there is none, and is to be none")
}

// What came with an instance goes with it, unless others need it.
func TestWhatCameWithAnInstanceGoesWithIt(t *testing.T) {
	added, err := put(11, "own").Plan("p", folder(map[string]string{"groups.yaml": groups,
		"web-1.yaml": header + "groups: [{name: own}]\n"}))
	require.NoError(t, err, "a file that says nothing of instances")
	require.Contains(t, string(added.Files[1].Text), "name: own")
	changed, err := put(12, "own", "web").Plan("p", added.Files)
	require.NoError(t, err)
	require.Contains(t, string(changed.Files[1].Text), "name: own")
	gone, err := remove.Plan("p", changed.Files)
	require.NoError(t, err)
	require.Equal(t, []string{"groups.yaml"}, names(gone.Files))

	needed := append(folder(map[string]string{"a.yaml": "instances: [{name: b, groups: [own], ports: " +
		"[{name: tap8, mac: \"02:00:00:00:00:08\", addresses: [192.0.2.8]}]}]\n"}), changed.Files...)
	_, err = remove.Plan("p", needed)
	require.ErrorContains(t, err, `there is no group "own"`)
}

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	own := "instances: [{name: web-1, groups: [web], ports: [{name: tap1, mac: \"02:00:00:00:00:0b\"," +
		" addresses: [192.0.2.11]}]}]\n"
	files := folder(map[string]string{"a.yaml": own, "groups.yaml": groups})
	for name, c := range map[string]Change{"another": put(12, "web"), "gone": remove} {
		_, err := c.Plan("p", files)
		require.ErrorContains(t, err, "it is in p/a.yaml:1:", name)
		c.Agrees = func(_, wanted *policy.Instance) bool { return false }
		_, err = c.Plan("p", files)
		require.ErrorContains(t, err, "change it there", name)
		c.Agrees = func(stands, _ *policy.Instance) bool { return stands.Ports[0].MAC[5] == 11 }
		left, err := c.Plan("p", files)
		require.NoError(t, err, name)
		require.Equal(t, "p/a.yaml", left.LeftTo)
		require.Equal(t, files, left.Files)
	}
	_, err := put(11, "web").Plan("p", files)
	require.NoError(t, err, "it is what it shall be")
	_, err = put(11).Plan("p", folder(map[string]string{"groups.yaml": "groups: []\n",
		"web-1.yaml": "groups: [{name: web}]\n"}))
	require.ErrorContains(t, err, "its file would be p/web-1.yaml, which is there")
}

// What would keep every later change out is not written.
func TestAnInvalidPolicyIsNotWritten(t *testing.T) {
	files := folder(map[string]string{"groups.yaml": groups})
	for told, c := range map[string]Change{
		`there is no group "wbe"; did you mean "web"?`: put(11, "wbe"),
		`02:00:00:00:00:09 is the MAC of the port`:     put(9, "web"),
	} {
		_, err := c.Plan("p", files)
		require.ErrorContains(t, err, told)
		require.ErrorContains(t, err, "web-1.yaml")
	}
	_, err := put(11).Plan("p", folder(map[string]string{"groups.yaml": "groups: [{nam: web}]\n"}))
	require.ErrorContains(t, err, "the policy is not valid as it is")
	_, err = put(11).Plan("p", nil)
	require.ErrorContains(t, err, "no *.yaml file")
}

// The last file of a folder is emptied: a folder without files is no policy.
func TestTheLastFileStays(t *testing.T) {
	added, err := put(11).Plan("p", folder(map[string]string{"web-1.yaml": header + "groups: []\n"}))
	require.NoError(t, err)
	gone, err := remove.Plan("p", added.Files)
	require.NoError(t, err)
	require.Equal(t, []string{"web-1.yaml"}, names(gone.Files))
	require.Empty(t, gone.After.Instances)
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(context.Background(), dir)
	require.NoError(t, err)
	_, err = lock(context.Background(), dir, 50*time.Millisecond)
	require.ErrorContains(t, err, "is held by somebody else")
	unlock()
	unlock, err = Lock(context.Background(), dir)
	require.NoError(t, err)
	unlock()
	file := filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Lock(context.Background(), file)
	require.ErrorContains(t, err, "make a folder of it")
}
