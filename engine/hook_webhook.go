package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// postAgain is how long to wait before the second, last try of a webhook.
const postAgain = time.Second

// post tells an address, and tries once more when it could not be reached or says that it has
// trouble. The address itself is in no error: whoever has it can often post.
func post(ctx context.Context, address string, body []byte) error {
	again, err := postOnce(ctx, address, body)
	if err == nil || !again {
		return err
	}
	timer := time.NewTimer(postAgain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return err
	}
	_, err = postOnce(ctx, address, body)
	return err
}

func postOnce(ctx context.Context, address string, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the webhook is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "so8t")
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if err != nil {
		return true, fmt.Errorf("telling %s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // the answer says nothing to us
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	return false, nil
}
