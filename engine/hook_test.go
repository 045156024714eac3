package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/engine"
)

// receiver is an address to tell: it answers with the next of answers and keeps what it was told.
type receiver struct {
	mu      sync.Mutex
	answers []int
	bodies  []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	r.bodies = append(r.bodies, string(body))
	w.WriteHeader(r.answers[min(len(r.bodies), len(r.answers))-1])
}

// hookRun runs a workflow of one stage whose end is told to r, and returns the warnings.
func hookRun(t *testing.T, r *receiver, note string) (*engine.Outcome, []string) {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	t.Setenv("TOKEN", "s3cr3t/of the test")
	h := open(t, project(t, `
version: 1
name: told
secrets: TOKEN
on: { success: { webhook: `+server.URL+`/private } }
stages: { a: { uses: noop } }
`))
	o, err := h.Run(t.Context(), h.plan(engine.Selection{}, nil), engine.RunOptions{Note: note})
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	for _, e := range h.events {
		if e.Kind == engine.Warned {
			warnings = append(warnings, e.Message)
		}
	}
	return o, warnings
}

func TestHook_Webhook_IsToldTheSummary_TwiceAtMost(t *testing.T) {
	for _, c := range []struct {
		answers []int
		told    int
		warning string
	}{
		{[]int{200}, 1, ""},
		{[]int{503, 204}, 2, ""},
		{[]int{500, 500}, 2, "answers 500"},
		{[]int{404}, 1, "answers 404"},
	} {
		r := &receiver{answers: c.answers}
		o, warnings := hookRun(t, r, "about s3cr3t/of the test")
		if o.State != "succeeded" || len(r.bodies) != c.told {
			t.Errorf("%v: run %s, told %d times", c.answers, o.State, len(r.bodies))
		}
		if got := strings.Join(warnings, "\n"); !strings.Contains(got, c.warning) || (c.warning == "") != (got == "") || strings.Contains(got, "private") {
			t.Errorf("%v: warned %q", c.answers, got)
		}
		var told struct {
			Event, Run, Workflow, State, Note string
			Stages                            []struct{ Outcome string }
		}
		if err := json.Unmarshal([]byte(r.bodies[0]), &told); err != nil {
			t.Fatal(err)
		}
		if told.Event != "success" || told.Run != o.Run || told.Workflow != "told" || told.State != "succeeded" ||
			told.Note != "about ***" || len(told.Stages) != 1 || told.Stages[0].Outcome != "succeeded" {
			t.Errorf("told %s", r.bodies[0])
		}
	}
}
