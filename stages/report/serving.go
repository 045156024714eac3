package report

// served is the report of the ollama stage.
type served struct {
	Version       string
	NumCtx        int  `json:"num_ctx"`
	TemplateEqual bool `json:"template_equal"`
	TokensEqual   bool `json:"tokens_equal"`
	RepliesEqual  bool `json:"replies_equal"`
	Parity        struct{ Conversations, Rendered, Tokens, Replied int }
	CrossCheck    *struct {
		Prompts, Scores int
		MaxDifference   float64 `json:"max_difference"`
		Tolerance       float64
	} `json:"cross_check"`
	Passed, Failed, Repeated int
	Tests                    []struct {
		Name, Prompt, Expected, Output, Why string
		Required, Passed                    bool
	}
}

// addOllama shows what a real server said.
func addOllama(d *document, c Config) error {
	if c.Ollama == "" {
		d.add("Served by Ollama", d.notRun("ollama"))
		return nil
	}
	var r served
	s, err := d.open("ollama", "report", c.Ollama, &r)
	if err != nil {
		return err
	}
	t := &table{heading: []string{"Test", "Prompt", "Expected", "Answer", "Result"}}
	for _, test := range r.Tests {
		result := cell{state: failed, text: test.Why}
		if test.Passed {
			result = cell{state: passed}
		}
		name := test.Name
		if test.Required {
			name += " (required)"
		}
		t.row(text("%s", name), text("%s", test.Prompt), text("%s", test.Expected), text("%s", clip(test.Output, 160)), result)
	}
	d.add("Served by Ollama", paragraph(text("Ollama %s, context ", r.Version), s.count("num_ctx", r.NumCtx), text(" tokens. "),
		s.count("passed", r.Passed), text(" tests passed, "), s.count("failed", r.Failed), text(" failed; "), s.count("repeated", r.Repeated), text(" were answered with the same text each time.")),
		block{table: r.proofs(s)}, block{table: t})
	return nil
}

// proofs are what shows that the served model is the trained one, each with what it has to be.
func (r served) proofs(s source) *table {
	t := &table{heading: []string{"Proof", "Measured on", "Found", "Limit", "Result"}}
	equal := func(name string, ok bool, on, found cell) {
		state := cell{state: failed}
		if ok {
			state = cell{state: passed}
		}
		t.row(text("%s", name), on, found, text("all equal"), state)
	}
	p := r.Parity
	rendered := s.count("parity.rendered", p.Rendered)
	if p.Rendered == 0 {
		rendered = text("the server does not tell")
	}
	equal("prompt as training renders it", r.TemplateEqual, s.count("parity.conversations", p.Conversations), rendered)
	equal("tokens of the prompt", r.TokensEqual, s.count("parity.conversations", p.Conversations), s.count("parity.tokens", p.Tokens))
	equal("greedy reply, as a conversation and to the raw prompt", r.RepliesEqual, s.count("parity.conversations", p.Conversations), s.count("parity.replied", p.Replied))
	if c := r.CrossCheck; c != nil {
		state := cell{state: failed}
		if c.MaxDifference <= c.Tolerance {
			state = cell{state: passed}
		}
		t.row(text("log-probability of the judgement's first token, against our own inference"), s.count("cross_check.scores", c.Scores),
			s.number("cross_check.max_difference", c.MaxDifference, "%.4f"), s.number("cross_check.tolerance", c.Tolerance, "%.2f"), state)
	}
	return t
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "…"
}
