package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// One question and its answer. Invariant: whatever a server answers, what is returned is what was
// asked for, or an error that says what to do.

// Options say which server, and who asks.
type Options struct {
	// URL is https://HOST[:PORT], http:// on this host alone, or unix:/PATH of the server's socket.
	URL   string
	Token string
	CA    string // a file of PEM; "" = the authorities of this system
	// FirstTime bounds the first answer; the others have Time.
	FirstTime time.Duration
}

const (
	// answerTime bounds an answer: a server takes a minute for a request at most.
	answerTime = 70 * time.Second
	// mostAnswer is the most that is read of one, in bytes.
	mostAnswer = 256 << 20
)

// Client asks one server.
type Client struct {
	url   string
	token string
	http  *http.Client
	ctx   context.Context // of the command
	// Who is who asks, as the server sees it.
	Who apiserver.Who
}

// New makes a client, and asks the server who asks. ctx bounds all questions.
func New(ctx context.Context, o Options) (*Client, error) {
	c := &Client{url: strings.TrimSuffix(o.URL, "/"), token: o.Token, ctx: ctx}
	transport := &http.Transport{ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	err := CheckURL(o.URL)
	if err != nil {
		return nil, err
	}
	if path, isSocket := strings.CutPrefix(o.URL, "unix:"); isSocket {
		c.url, transport.Proxy = "http://socket", nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	if transport.TLSClientConfig, err = trust(o.CA); err != nil {
		return nil, err
	}
	// an answer that leads elsewhere would take the token there
	c.http = &http.Client{Transport: transport, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	first, cancel := context.WithTimeout(ctx, o.FirstTime)
	defer cancel()
	_, err = c.json(first, http.MethodGet, "/v1/whoami", nil, nil, &c.Who)
	return c, err
}

// CheckURL says what is wrong with the URL of a server.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("--server %s: is no URL: %w", text, err)
	case u.Scheme == "unix" && strings.HasPrefix(u.Path, "/"):
		return nil
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("--server %s: must be https://HOST[:PORT], or unix:/PATH", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("--server %s: must be https://HOST[:PORT] alone", u.Redacted())
	case u.Scheme == "http" && !isHere(u.Hostname()):
		return fmt.Errorf("--server %s: the token would be sent in the open: must be https, or on "+
			"this host", text)
	}
	return nil
}

func isHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// trust is whose certificates are taken.
func trust(ca string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return c, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("--server-ca: %w", err)
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--server-ca %s: holds no certificate of PEM", ca)
	}
	return c, nil
}

// Close lets go of the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// path is below the project of who asks, if it has one.
func (c *Client) path(rest string) string {
	if c.Who.Project == "" {
		return "/v1" + rest
	}
	return "/v1/projects/" + url.PathEscape(c.Who.Project) + rest
}

// answer is a success.
type answer struct {
	header http.Header
	text   []byte
}

// json asks for JSON.
func (c *Client) json(ctx context.Context, method, path string, header http.Header, body,
	into any) (http.Header, error) {
	got, err := c.ask(ctx, method, path, header, body)
	if err != nil {
		return nil, err
	}
	if into == nil {
		return got.header, nil
	}
	if err := json.Unmarshal(got.text, into); err != nil {
		return nil, fmt.Errorf("the answer of the API server %s to %s is no answer of one: %w", c.url, path,
			err)
	}
	return got.header, nil
}

// ask sends one request.
func (c *Client) ask(ctx context.Context, method, path string, header http.Header,
	body any) (answer, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.unanswered(err)
	}
	defer res.Body.Close()
	if text, err = readAnswer(res.Body); err != nil {
		return answer{}, c.unanswered(err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return answer{}, c.refused(res, text)
	}
	return answer{res.Header, text}, nil
}

func readAnswer(body io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(body, mostAnswer))
}

// Unanswered is the error of a server that gave no answer: whether a change was made is not known.
type Unanswered struct{ error }

// Unwrap returns why.
func (u Unanswered) Unwrap() error { return u.error }

// unanswered says what to do about a server that cannot be asked.
func (c *Client) unanswered(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	hint := "is 'portcullis serve' running there? Look at its /healthz"
	switch {
	case errors.As(err, &unknown):
		hint = "name the authority that has signed its certificate: --server-ca FILE"
	case errors.As(err, &name):
		hint = "its certificate is for another name: ask it by that"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		hint = "it takes the question and gives no answer in time"
	}
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // without the URL, which is said
	}
	return Unanswered{fmt.Errorf("the API server %s does not answer: %w\n%s", c.url, err, hint)}
}

// Refused is what a server has said no to.
type Refused struct{ apiserver.Problem }

// Error has what is wrong, and each mistake of several.
func (r *Refused) Error() string {
	lines := []string{r.Detail}
	if len(r.Errors) > 1 {
		for _, one := range r.Errors {
			line := one.Message
			if one.Location != "" {
				line = one.Location + ": " + line
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Is says whether it is an error that a database would give.
func (r *Refused) Is(target error) bool {
	return target == policydb.ErrNoTrial && (strings.Contains(r.Detail, target.Error()) ||
		strings.Contains(r.Detail, "is on trial, not"))
}

// refused reads a refusal.
func (c *Client) refused(res *http.Response, text []byte) error {
	out := &Refused{}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(text, &out.Problem) != nil ||
		out.Detail == "" {
		return fmt.Errorf("what answers at %s is no API server of Portcullis, or something is before it: "+
			"it says %s", c.url, res.Status)
	}
	switch {
	case res.StatusCode != http.StatusUnauthorized:
	case c.token != "":
		out.Detail = "the API server " + c.url + " does not take this token: it is not known there, has " +
			"expired or was revoked; 'portcullis token create' makes another, for who may"
	default:
		out.Detail = "the API server " + c.url + " does not know who asks: give --token, or " +
			"PORTCULLIS_TOKEN, or choose a context: 'portcullis context use NAME'"
	}
	return out
}
