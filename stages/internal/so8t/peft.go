package so8t

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// peftConfig holds the keys of adapter_config.json that every PEFT version since 0.8
// understands; later versions fill in the rest.
type peftConfig struct {
	AlphaPattern  map[string]float64 `json:"alpha_pattern"`
	AutoMapping   *string            `json:"auto_mapping"`
	Base          string             `json:"base_model_name_or_path"`
	Bias          string             `json:"bias"`
	FanInFanOut   bool               `json:"fan_in_fan_out"`
	InferenceMode bool               `json:"inference_mode"`
	Init          bool               `json:"init_lora_weights"`
	LayersPattern *string            `json:"layers_pattern"`
	LayersTo      []int              `json:"layers_to_transform"`
	Alpha         float64            `json:"lora_alpha"`
	Dropout       float64            `json:"lora_dropout"`
	ModulesToSave []string           `json:"modules_to_save"`
	Type          string             `json:"peft_type"`
	R             int                `json:"r"`
	RankPattern   map[string]int     `json:"rank_pattern"`
	Revision      *string            `json:"revision"`
	Targets       any                `json:"target_modules"`
	Task          string             `json:"task_type"`
	DoRA          bool               `json:"use_dora"`
	RSLoRA        bool               `json:"use_rslora"`
}

func newPEFTConfig(l *LoRA) peftConfig {
	c := peftConfig{
		AlphaPattern: map[string]float64{}, RankPattern: map[string]int{}, Bias: "none", InferenceMode: true, Init: true,
		Type: "LORA", Task: "CAUSAL_LM", R: l.Rank, Alpha: l.Alpha, Dropout: l.Dropout, RSLoRA: l.RankStab,
		// A folder's place on this machine must not get into an artifact.
		Base: path.Base(strings.ReplaceAll(l.Base, `\`, "/")),
	}
	if l.Base == "" {
		c.Base = ""
	}
	// The modules' names, even when they were chosen by a pattern: PEFT loads these.
	names := map[string]bool{}
	var targets []string
	for _, m := range l.Modules {
		name := m.Path[strings.LastIndexByte(m.Path, '.')+1:]
		if !names[name] {
			names[name] = true
			targets = append(targets, name)
		}
	}
	slices.Sort(targets)
	c.Targets = targets
	c.LayersTo = partialLayers(l, targets)
	return c
}

// partialLayers lists the adapted layers when they are not 0..n, so that PEFT does not
// make empty adapters for the others; nil otherwise.
func partialLayers(l *LoRA, targets []string) []int {
	var layers []int
	for _, m := range l.Modules {
		if n := layerOf(m.Path); n >= 0 && !slices.Contains(layers, n) {
			layers = append(layers, n)
		}
	}
	slices.Sort(layers)
	for i, n := range layers {
		if i != n {
			return layers
		}
	}
	if len(layers)*len(targets) != len(l.Modules) {
		return layers
	}
	return nil
}

// parsePEFTConfig reads adapter_config.json, refusing by name what would change the
// result.
func parsePEFTConfig(text []byte) (*LoRA, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	var c peftConfig
	if err := json.Unmarshal(text, &c); err != nil {
		// init_lora_weights may be a string ("gaussian"): it says how training began.
		delete(keys, "init_lora_weights")
		text, _ = json.Marshal(keys)
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, err
		}
	}
	if c.Type != "LORA" {
		return nil, fmt.Errorf("peft_type is %q; only LORA is supported", c.Type)
	}
	if c.R <= 0 || !(c.Alpha > 0) {
		return nil, fmt.Errorf("r is %d and lora_alpha %v; both must be positive", c.R, c.Alpha)
	}
	if c.Bias != "none" && c.Bias != "" {
		return nil, fmt.Errorf("bias is %q; only none is supported", c.Bias)
	}
	for key, set := range map[string]bool{
		"rank_pattern": len(c.RankPattern) > 0, "alpha_pattern": len(c.AlphaPattern) > 0, "modules_to_save": len(c.ModulesToSave) > 0,
		"fan_in_fan_out": c.FanInFanOut, "use_dora": c.DoRA,
		"lora_bias": isTrue(keys["lora_bias"]), "use_qalora": isTrue(keys["use_qalora"]), "use_bdlora": isTrue(keys["use_bdlora"]),
		"layer_replication": isSet(keys["layer_replication"]), "trainable_token_indices": isSet(keys["trainable_token_indices"]),
		"target_parameters": isSet(keys["target_parameters"]),
	} {
		if set {
			return nil, fmt.Errorf("%s is set; only plain LoRA is supported", key)
		}
	}
	l := &LoRA{Rank: c.R, Alpha: c.Alpha, RankStab: c.RSLoRA, Dropout: c.Dropout, Base: c.Base}
	switch t := c.Targets.(type) {
	case string:
		l.Targets = []string{t}
	case []any:
		for _, v := range t {
			l.Targets = append(l.Targets, fmt.Sprint(v))
		}
	}
	slices.Sort(l.Targets)
	return l, nil
}

func isTrue(raw json.RawMessage) bool { return string(raw) == "true" }

func isSet(raw json.RawMessage) bool {
	return len(raw) > 0 && !slices.Contains([]string{"null", "[]", "{}", "false"}, string(raw))
}
