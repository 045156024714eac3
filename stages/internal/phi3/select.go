package phi3

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Target is one projection of one layer.
type Target struct {
	Layer  int
	Module string
}

// Path is the target's full module name.
func (t Target) Path() string { return ModulePath(t.Layer, t.Module) }

// SelectTargets resolves what an adapter is put on, in the order of the forward pass.
// An entry is a projection's name (qkv_proj), the end of a module's path
// (self_attn.o_proj), all-linear, or a regular expression for the whole path. An entry
// that matches nothing is an error.
func (c *Config) SelectTargets(entries []string) ([]Target, error) {
	if len(entries) == 0 {
		return nil, fmt.Errorf("selecting adapter targets: the list is empty; name some of %s", strings.Join(Modules, ", "))
	}
	chosen := map[Target]bool{}
	for _, entry := range entries {
		match, err := targetMatcher(entry)
		if err != nil {
			return nil, err
		}
		before := 0
		for l := range c.Layers {
			for _, m := range Modules {
				if t := (Target{l, m}); match(t.Path()) {
					chosen[t] = true
					before++
				}
			}
		}
		if before == 0 {
			return nil, fmt.Errorf("selecting adapter targets: %q matches no module; %s", entry, targetHint(entry))
		}
	}
	var out []Target
	for l := range c.Layers {
		for _, m := range Modules {
			if t := (Target{l, m}); chosen[t] {
				out = append(out, t)
			}
		}
	}
	return out, nil
}

func targetMatcher(entry string) (func(path string) bool, error) {
	if entry == "all-linear" {
		return func(string) bool { return true }, nil
	}
	if regexp.QuoteMeta(entry) == strings.ReplaceAll(entry, ".", `\.`) { // no metacharacter but the dot
		return func(path string) bool { return path == entry || strings.HasSuffix(path, "."+entry) }, nil
	}
	re, err := regexp.Compile("^(?:" + entry + ")$")
	if err != nil {
		return nil, fmt.Errorf("selecting adapter targets: %q is neither a module's name nor a regular expression: %w", entry, err)
	}
	return re.MatchString, nil
}

func targetHint(entry string) string {
	fused := map[string]string{"q_proj": QKV, "k_proj": QKV, "v_proj": QKV, "gate_proj": GateUp, "up_proj": GateUp}
	if f := fused[entry[strings.LastIndexByte(entry, '.')+1:]]; f != "" {
		return fmt.Sprintf("Phi-3's projections are fused: did you mean %s?", f)
	}
	return "a Phi-3 layer has " + strings.Join(Modules, ", ")
}

// SelectLayers resolves which layers get a gate: "all", "none" or "", "middle" (the
// central half), or a list such as "0,3,8-11".
func (c *Config) SelectLayers(choice string) ([]int, error) {
	switch choice {
	case "none", "":
		return nil, nil
	case "all":
		return span(0, c.Layers), nil
	case "middle":
		lo := min((c.Layers+3)/4, c.Layers-1)
		return span(lo, max(3*c.Layers/4, lo+1)), nil
	}
	var out []int
	for part := range strings.SplitSeq(choice, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		lo, err := strconv.Atoi(from)
		hi := lo
		if err == nil && isRange {
			hi, err = strconv.Atoi(to)
		}
		if err != nil || lo > hi {
			return nil, fmt.Errorf("selecting gated layers: %q is no layer; use all, middle, none or numbers such as 0,3,8-11", part)
		}
		if lo < 0 || hi >= c.Layers {
			return nil, fmt.Errorf("selecting gated layers: %q is outside 0-%d", part, c.Layers-1)
		}
		out = append(out, span(lo, hi+1)...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func span(lo, hi int) (out []int) {
	for l := lo; l < hi; l++ {
		out = append(out, l)
	}
	return out
}
