package workflow

import "encoding/json"

// MarshalJSON writes the graph: params, stages, edges, levels and nodes, with what the files say
// and nothing filled in.
func (w *Workflow) MarshalJSON() ([]byte, error) {
	params := make(map[string]any, len(w.Params))
	for _, p := range w.Params {
		params[p.Name] = p.Value
	}
	stages := make([]string, len(w.Stages))
	for i, s := range w.Stages {
		stages[i] = s.Name
	}
	edges := w.Edges
	if edges == nil {
		edges = []Edge{}
	}
	out := map[string]any{
		"name": w.Name, "params": params, "stages": stages, "edges": edges, "levels": w.Levels, "nodes": w.Nodes,
	}
	if len(w.Slots) > 0 {
		out["slots"] = slotCounts(w.Slots)
	}
	return json.Marshal(out)
}

// MarshalJSON writes the node with what the files say: times in seconds, sizes in bytes.
func (n *Node) MarshalJSON() ([]byte, error) {
	out := map[string]any{"id": n.ID, "stage": n.Stage, "level": n.Level, "uses": n.Uses, "with": n.With, "needs": n.needs()}
	if len(n.Matrix) > 0 {
		matrix := make(map[string]any, len(n.Matrix))
		for _, m := range n.Matrix {
			matrix[m.Axis] = m.Value
		}
		out["matrix"] = matrix
	}
	if len(n.Env) > 0 {
		env := make(map[string]any, len(n.Env))
		for _, e := range n.Env {
			env[e.Name] = e.Value
		}
		out["env"] = env
	}
	if n.Timeout > 0 {
		out["timeout_s"] = n.Timeout.Seconds()
	}
	if retry := n.Retry.plain(); len(retry) > 0 {
		out["retry"] = retry
	}
	if resources := n.Resources.plain(); len(resources) > 0 {
		out["resources"] = resources
	}
	if n.hasPriority {
		out["priority"] = n.Priority
	}
	if n.When != WhenSuccess {
		out["when"] = n.When
	}
	if len(n.Gates) > 0 {
		gates := make([]string, len(n.Gates))
		for i, g := range n.Gates {
			gates[i] = g.Text
		}
		out["gates"] = gates
	}
	if n.ContinueOnError {
		out["continue_on_error"] = true
	}
	if len(n.Secrets) > 0 {
		out["secrets"] = n.Secrets
	}
	if n.Frozen {
		out["frozen"] = true
	}
	if len(n.Publish) > 0 {
		publish := make(map[string]string, len(n.Publish))
		for _, p := range n.Publish {
			publish[p.Output] = p.Path
		}
		out["publish"] = publish
	}
	return json.Marshal(out)
}

func (n *Node) needs() []string {
	if n.Needs == nil {
		return []string{}
	}
	return n.Needs
}

func (r Retry) plain() map[string]any {
	out := map[string]any{}
	if r.Max != nil {
		out["max"] = *r.Max
	}
	if r.Backoff != nil {
		out["backoff_s"] = r.Backoff.Seconds()
	}
	if r.Factor != nil {
		out["factor"] = *r.Factor
	}
	if r.MaxBackoff != nil {
		out["max_backoff_s"] = r.MaxBackoff.Seconds()
	}
	if r.Jitter != nil {
		out["jitter"] = *r.Jitter
	}
	if r.On != nil {
		out["on"] = r.On
	}
	return out
}

func (r Resources) plain() map[string]any {
	out := map[string]any{}
	if r.GPU != nil {
		out["gpu"] = *r.GPU
	}
	if r.CPU != nil {
		out["cpu"] = *r.CPU
	}
	if r.Memory != nil {
		out["memory"] = *r.Memory
	}
	if r.Disk != nil {
		out["disk"] = *r.Disk
	}
	if len(r.Slots) > 0 {
		out["slots"] = slotCounts(r.Slots)
	}
	return out
}

func slotCounts(slots []Slot) map[string]int {
	out := make(map[string]int, len(slots))
	for _, s := range slots {
		out[s.Name] = s.Count
	}
	return out
}
