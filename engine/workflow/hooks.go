package workflow

// readHooks reads `on`.
func (d *document) readHooks(p pair) {
	if p.value == nil {
		return
	}
	events := d.fields(p.value, hookEvents, p.key.pos, "on")
	for _, spec := range hookEvents {
		if e, ok := events[spec.name]; ok {
			d.readHook(e)
		}
	}
}

func (d *document) readHook(e pair) {
	what := "on." + e.key.text
	f := d.fields(e.value, hookKeys, e.key.pos, what)
	if f == nil {
		return
	}
	h := Hook{Event: e.key.text, Pos: e.key.pos}
	run, hasRun := f["run"]
	webhook, hasWebhook := f["webhook"]
	switch {
	case hasRun && hasWebhook:
		second := webhook.key.pos
		if first := run.key.pos; first.Line > second.Line || first.Line == second.Line && first.Col > second.Col {
			second = first
		}
		d.report.add(second, CodeUnknownKey, "drop one of the two", "%s takes one of run and webhook, not both", what)
	case hasRun:
		h.Run, _ = d.plainText(run.value, what+".run")
	case hasWebhook:
		h.Webhook, _ = d.plainText(webhook.value, what+".webhook")
	default:
		d.report.add(e.key.pos, CodeMissingKey, "", "%s lacks run or webhook", what)
	}
	if t, ok := f["timeout"]; ok {
		s := settings{d: d}
		h.Timeout, _ = s.timeout(s.value(t.value))
	}
	d.workflow.Hooks = append(d.workflow.Hooks, h)
}
