// Package fetch downloads images with net/http. It checks each address at connect time.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	maxBytes     = 20 << 20
	maxRedirects = 5
	perHost      = 8
	attempts     = 3
)

var (
	errBlocked  = errors.New("the address is blocked")
	errTooLarge = errors.New("the body is too large")
)

// special lists the networks that netip's predicates do not cover (IANA's special-purpose registries).
var special = parsePrefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32", "::/96",
	"::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	"5f00::/16", "fec0::/10",
)

func parsePrefixes(texts ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// Image is a body, and the headers that are recorded with it.
type Image struct {
	Body                          []byte
	ETag, LastModified, MediaType string
	FinalURL                      string
	Redirects                     int
}

// Client downloads from public addresses and from the allowed networks.
type Client struct{ http *http.Client }

// New returns a client. Addresses in allowed may be private.
func New(allowed []netip.Prefix) *Client {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		// The address that is about to be connected to, so a second DNS answer cannot replace it.
		Control: func(_, address string, _ syscall.RawConn) error { return check(address, allowed) },
	}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true,
		IdleConnTimeout:     15 * time.Second,
		MaxConnsPerHost:     perHost,
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: perHost,
		TLSHandshakeTimeout: 5 * time.Second,
	}
	return &Client{&http.Client{CheckRedirect: checkRedirect, Timeout: 30 * time.Second, Transport: transport}}
}

func check(address string, allowed []netip.Prefix) error {
	found, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := found.Addr().Unmap()
	if contains(allowed, ip) {
		return nil
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || contains(special, ip) {
		return errBlocked
	}
	return nil
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, each := range prefixes {
		if each.Contains(ip) {
			return true
		}
	}
	return false
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme == "http" {
		return errors.New("a redirect leads from https to http")
	}
	return nil
}

// Get downloads one image, with up to three attempts.
func (c *Client) Get(ctx context.Context, url string) (*Image, error) {
	for attempt := 1; ; attempt++ {
		image, transient, err := c.get(ctx, url)
		if err == nil || !transient || attempt == attempts {
			return image, err
		}
		select {
		case <-time.After(time.Duration(attempt) * 200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) get(ctx context.Context, url string) (image *Image, transient bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("User-Agent", "imageservice/1 (image fetcher)")
	request.Header.Set("Accept", "image/*")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, !errors.Is(err, errBlocked), err
	}
	defer response.Body.Close()
	if status := response.StatusCode; status != http.StatusOK {
		return nil, status >= 500 || status == http.StatusTooManyRequests, fmt.Errorf("status %d", status)
	}
	body, err := read(response)
	if err != nil {
		return nil, !errors.Is(err, errTooLarge), err
	}
	return newImage(body, response), false, nil
}

func read(response *http.Response) ([]byte, error) {
	if response.ContentLength > maxBytes {
		return nil, errTooLarge
	}
	if response.ContentLength >= 0 {
		body := make([]byte, response.ContentLength)
		_, err := io.ReadFull(response.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBytes+1))
	if err == nil && len(body) > maxBytes {
		err = errTooLarge
	}
	return body, err
}

func newImage(body []byte, response *http.Response) *Image {
	image := &Image{
		Body:         body,
		ETag:         response.Header.Get("ETag"),
		LastModified: response.Header.Get("Last-Modified"),
		MediaType:    response.Header.Get("Content-Type"),
	}
	for hop := response.Request; hop.Response != nil; hop = hop.Response.Request {
		image.Redirects++
	}
	if image.Redirects > 0 {
		image.FinalURL = response.Request.URL.String()
	}
	return image
}
