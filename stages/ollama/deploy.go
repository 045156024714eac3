package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
)

// parameters are what the created model uses unless a request says otherwise: greedy, and the
// context for which the short rotary factors hold.
type parameters struct {
	NumCtx        int      `json:"num_ctx"`
	Temperature   float64  `json:"temperature"`
	RepeatPenalty float64  `json:"repeat_penalty"`
	Seed          int      `json:"seed"`
	Stop          []string `json:"stop"`
}

// lines are the parameters as a Modelfile has them.
func (p parameters) lines() []string {
	lines := []string{
		"num_ctx " + strconv.Itoa(p.NumCtx), fmt.Sprintf("temperature %v", p.Temperature),
		fmt.Sprintf("repeat_penalty %v", p.RepeatPenalty), "seed " + strconv.Itoa(p.Seed),
	}
	for _, stop := range p.Stop {
		lines = append(lines, "stop "+strconv.Quote(stop))
	}
	return lines
}

// offer is a model as it is to be on the server.
type offer struct {
	owner    string
	path     string // of the GGUF file
	digest   string // its sha256
	template string
	params   parameters
	license  string
}

// newOffer describes the model that a stage is to serve.
func newOffer(c Config, owner, digest string, numCtx int) offer {
	return offer{
		owner: owner, path: c.GGUF, digest: digest, template: mark(owner) + chat.Ollama, license: c.License,
		params: parameters{NumCtx: numCtx, RepeatPenalty: 1, Seed: 1, Stop: []string{chat.End, chat.EndOfText}},
	}
}

// shown is what the server says of a model.
type shown struct {
	Modelfile  string `json:"modelfile"`
	Parameters string `json:"parameters"`
	Template   string `json:"template"`
	License    string `json:"license"`
}

// of reports whether the owner made the model.
func (s shown) of(owner string) bool { return strings.HasPrefix(s.Template, mark(owner)) }

// holds reports whether the model was made of the file with this digest.
func (s shown) holds(digest string) bool {
	for line := range strings.Lines(s.Modelfile) {
		if from, ok := strings.CutPrefix(line, "FROM "); ok && strings.HasSuffix(strings.TrimSpace(from), "sha256-"+digest) {
			return true
		}
	}
	return false
}

// lines are the parameters, sorted: the server lists them in no order.
func (s shown) lines() []string {
	var lines []string
	for line := range strings.Lines(s.Parameters) {
		if f := strings.Fields(line); len(f) > 0 {
			lines = append(lines, strings.Join(f, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

// is reports whether the model is the offered one.
func (s shown) is(o offer) bool {
	want := o.params.lines()
	slices.Sort(want)
	return s.holds(o.digest) && s.Template == o.template && slices.Equal(s.lines(), want) && strings.TrimSpace(s.License) == strings.TrimSpace(o.license)
}

// look asks for a model; nil when there is none of that name.
func (c *client) look(ctx context.Context, name string) (*shown, error) {
	var s shown
	err := c.get(ctx, http.MethodPost, "/api/show", map[string]string{"model": name}, &s)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(fmt.Sprintf("looking for model %q", name), err)
	}
	return &s, nil
}

// upload sends a file as a blob, unless the server has it: what was uploaded before is not again.
func (c *client) upload(ctx context.Context, path, digest string, progress func(done, total int64)) error {
	blob := "/api/blobs/sha256:" + digest
	err := c.exchange(ctx, http.MethodHead, blob, body{}, func(io.Reader) error { return nil })
	if !absent(err) {
		return c.explain("asking for the model's blob", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("uploading %q: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("uploading %q: %w", path, err)
	}
	sent := &counted{r: f, report: func(n int64) { progress(n, info.Size()) }}
	err = c.exchange(ctx, http.MethodPost, blob, body{sent, info.Size()}, func(io.Reader) error { return nil })
	return c.explain(fmt.Sprintf("uploading the model (%d of %d bytes were sent)", sent.n, info.Size()), err)
}

type counted struct {
	r      io.Reader
	n      int64
	report func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.report(c.n)
	return n, err
}

// create makes a model of an uploaded file.
func (c *client) create(ctx context.Context, name string, o offer) error {
	request := map[string]any{
		"model": name, "files": map[string]string{"model.gguf": "sha256:" + o.digest}, "template": o.template, "parameters": o.params,
	}
	if o.license != "" {
		request["license"] = o.license
	}
	err := c.ask(ctx, http.MethodPost, "/api/create", request, func(line json.RawMessage) (bool, error) {
		var said struct{ Status string }
		err := json.Unmarshal(line, &said)
		return said.Status == "success", err
	})
	return c.explain(fmt.Sprintf("creating model %q", name), err)
}

// ready puts the offered model on the server, where nobody looks for it, unless it is there already
// under its own name. It returns the name under which it is.
func (c *client) ready(ctx context.Context, name string, o offer, progress func(done, total int64)) (string, error) {
	there, err := c.look(ctx, name)
	if err != nil {
		return "", err
	}
	trial := trialName(name, o.owner, o.digest)
	switch {
	case there != nil && there.is(o):
		// An attempt may have been cut off between the two names.
		return name, c.explain("removing the model's first name", c.remove(ctx, trial))
	case there != nil && !there.of(o.owner):
		return "", plugins.Errorf(plugins.BadInput, "a model %q that this project did not make is on the server at %s: choose another name, or remove it (ollama rm %s)", name, c.base, name)
	}
	left, err := c.look(ctx, trial)
	if err != nil {
		return "", err
	}
	if left != nil && left.is(o) {
		return trial, nil // an earlier attempt was cut off after this
	}
	if err := c.upload(ctx, o.path, o.digest, progress); err != nil {
		return "", err
	}
	return trial, c.create(ctx, trial, o)
}

// publish gives a proven model its name. What had it before is removed.
func (c *client) publish(ctx context.Context, trial, name string, o offer) error {
	if trial == name {
		return nil
	}
	doing := fmt.Sprintf("naming model %q", name)
	before, err := c.look(ctx, name)
	if err != nil {
		return err
	}
	if before != nil { // copying over it would leave its file on the server's disk
		err = c.move(ctx, name, replacedName(name, o.owner))
	}
	if err == nil {
		err = c.move(ctx, trial, name)
	}
	if err == nil && before != nil {
		err = c.remove(ctx, replacedName(name, o.owner))
	}
	return c.explain(doing, err)
}

func (c *client) move(ctx context.Context, from, to string) error {
	if err := c.order(ctx, http.MethodPost, "/api/copy", map[string]string{"source": from, "destination": to}); err != nil {
		return err
	}
	return c.remove(ctx, from)
}

func (c *client) remove(ctx context.Context, name string) error {
	err := c.order(ctx, http.MethodDelete, "/api/delete", map[string]string{"model": name})
	if absent(err) {
		return nil
	}
	return err
}

// keepsTrial reports whether a model that was not proven because of err may be proven later: then it
// stays under its trial name, so that the next attempt need not upload it again.
func keepsTrial(err error) bool {
	switch plugins.CodeOf(err) {
	case plugins.Cancelled, plugins.Timeout, plugins.Unavailable:
		return true
	}
	return errors.Is(err, context.Canceled)
}
