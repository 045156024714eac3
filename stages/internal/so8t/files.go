package so8t

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/so8t/so8t/stages/internal/safetensors"
)

// Names of the files in an adapter folder: the first two as PEFT writes them, the
// others for the gates.
const (
	adapterWeights = "adapter_model.safetensors"
	adapterConfig  = "adapter_config.json"
	gateWeights    = "so8t_gate.safetensors"
	gateConfig     = "so8t_config.json"
)

const (
	peftPrefix = "base_model.model."
	gatePrefix = "model.layers."
	gateSuffix = ".self_attn.o_proj.so8t"
)

// GateConfig is so8t_config.json: how the gate file is to be read.
type GateConfig struct {
	Version    int    `json:"so8t_version"`
	Param      string `json:"so8t_param"`
	Site       string `json:"so8t_site"`
	Convention string `json:"so8t_convention"`
	Layers     []int  `json:"layers"`
}

// gateFormat is the only one there is.
var gateFormat = GateConfig{Version: 1, Param: "cayley28", Site: "o_proj.out", Convention: "row"}

// WriteAdapter writes an adapter folder's files into dir. The same adapter gives the
// same bytes.
func WriteAdapter(dir string, a *Adapter) error {
	if a.LoRA != nil {
		if err := writeLoRA(dir, a.LoRA); err != nil {
			return fmt.Errorf("writing adapter: %w", err)
		}
	}
	if a.Gates != nil && len(a.Gates.Layers) > 0 {
		if err := writeGates(dir, a.Gates); err != nil {
			return fmt.Errorf("writing gates: %w", err)
		}
	}
	return nil
}

func writeLoRA(dir string, l *LoRA) error {
	var list []safetensors.Tensor
	for _, m := range l.Modules {
		list = append(list,
			safetensors.FromFloats(peftPrefix+m.Path+".lora_A.weight", safetensors.F32, []int{l.Rank, m.In}, m.A),
			safetensors.FromFloats(peftPrefix+m.Path+".lora_B.weight", safetensors.F32, []int{m.Out, l.Rank}, m.B))
	}
	safetensors.Sort(list)
	if err := safetensors.Write(filepath.Join(dir, adapterWeights), list, nil); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, adapterConfig), newPEFTConfig(l))
}

func writeGates(dir string, g *Gates) error {
	c := gateFormat
	var list []safetensors.Tensor
	for _, gate := range g.Layers {
		if err := CheckTheta(gate.Theta, g.Hidden); err != nil {
			return fmt.Errorf("layer %d: %w", gate.Layer, err)
		}
		c.Layers = append(c.Layers, gate.Layer)
		name := gatePrefix + strconv.Itoa(gate.Layer) + gateSuffix
		list = append(list, safetensors.FromFloats(name, safetensors.F32, []int{g.Hidden / Block, Params}, gate.Theta))
	}
	if err := safetensors.Write(filepath.Join(dir, gateWeights), list, nil); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, gateConfig), c)
}

// writeJSON writes and syncs an indented file.
func writeJSON(path string, v any) (err error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text.Bytes()); err != nil {
		return err
	}
	return f.Sync()
}

// AdapterError says that an adapter folder given by the user cannot be used. Stages
// report it as bad input.
type AdapterError struct {
	Dir   string
	Cause error
}

func (e *AdapterError) Error() string { return fmt.Sprintf("reading adapter %q: %v", e.Dir, e.Cause) }

// Unwrap gives the cause.
func (e *AdapterError) Unwrap() error { return e.Cause }

// ReadAdapter reads an adapter folder: a PEFT LoRA adapter, gates, or both. A folder
// with neither is an error, and so is anything in it that would change the result and
// is not supported; errors are *AdapterError.
func ReadAdapter(dir string) (*Adapter, error) {
	a, err := readAdapter(dir)
	if err != nil {
		return nil, &AdapterError{dir, err}
	}
	return a, nil
}

func readAdapter(dir string) (*Adapter, error) {
	a := &Adapter{}
	hasLoRA, err := exists(dir, adapterWeights)
	if err == nil && hasLoRA {
		a.LoRA, err = readLoRA(dir)
	}
	if err != nil {
		return nil, err
	}
	hasGates, err := exists(dir, gateWeights)
	if err == nil && hasGates {
		a.Gates, err = readGates(dir)
	}
	if err != nil {
		return nil, err
	}
	if a.LoRA == nil && a.Gates == nil {
		return nil, fmt.Errorf("neither %s nor %s is there: %w", adapterWeights, gateWeights, fs.ErrNotExist)
	}
	return a, nil
}

func exists(dir, name string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func readLoRA(dir string) (*LoRA, error) {
	text, err := os.ReadFile(filepath.Join(dir, adapterConfig))
	if err != nil {
		return nil, err
	}
	l, err := parsePEFTConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", adapterConfig, err)
	}
	set, err := safetensors.Open(filepath.Join(dir, adapterWeights))
	if err != nil {
		return nil, err
	}
	defer set.Close()
	found := map[string]*Module{}
	for _, name := range set.Names() {
		if err := addLoRATensor(set, name, l.Rank, found); err != nil {
			return nil, err
		}
	}
	for path, m := range found {
		if m.A == nil || m.B == nil {
			return nil, fmt.Errorf("%s: module %q has only one of lora_A and lora_B", adapterWeights, path)
		}
		l.Modules = append(l.Modules, *m)
	}
	slices.SortFunc(l.Modules, compareModules)
	if len(l.Modules) == 0 {
		return nil, fmt.Errorf("%s holds no adapter", adapterWeights)
	}
	return l, nil
}

func addLoRATensor(set *safetensors.Set, name string, rank int, found map[string]*Module) error {
	path, ok := strings.CutPrefix(name, peftPrefix)
	isA, isB := strings.HasSuffix(path, ".lora_A.weight"), strings.HasSuffix(path, ".lora_B.weight")
	info, _ := set.Info(name)
	if !ok || !(isA || isB) || len(info.Shape) != 2 {
		return fmt.Errorf("%s: tensor %q is no LoRA matrix of a linear layer; only plain LoRA is supported", adapterWeights, name)
	}
	path = path[:len(path)-len(".lora_A.weight")]
	values, err := set.Floats(name)
	if err != nil {
		return err
	}
	m := found[path]
	if m == nil {
		m = &Module{Path: path}
		found[path] = m
	}
	r := info.Shape[0]
	if isA {
		m.A, m.In = values, info.Shape[1]
	} else {
		r = info.Shape[1]
		m.B, m.Out = values, info.Shape[0]
	}
	if r != rank {
		return fmt.Errorf("%s: tensor %q has shape %v, which is not of rank %d", adapterWeights, name, info.Shape, rank)
	}
	return nil
}

// compareModules orders paths by layer number, then by the forward pass.
func compareModules(a, b Module) int {
	order := func(p string) int {
		for i, m := range []string{"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} {
			if strings.HasSuffix(p, "."+m) {
				return i
			}
		}
		return 4
	}
	return cmp.Or(cmp.Compare(layerOf(a.Path), layerOf(b.Path)), cmp.Compare(order(a.Path), order(b.Path)), strings.Compare(a.Path, b.Path))
}

// layerOf is the number after "layers.", or -1.
func layerOf(path string) int {
	_, rest, ok := strings.Cut(path, "layers.")
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return -1
	}
	return n
}

func readGates(dir string) (*Gates, error) {
	text, err := os.ReadFile(filepath.Join(dir, gateConfig))
	if err != nil {
		return nil, err
	}
	var c GateConfig
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", gateConfig, err)
	}
	if c.Version != gateFormat.Version || c.Param != gateFormat.Param || c.Site != gateFormat.Site || c.Convention != gateFormat.Convention {
		return nil, fmt.Errorf("%s: version %d, parameters %q at %q by %q; only version %d, %q at %q by %q is known", gateConfig,
			c.Version, c.Param, c.Site, c.Convention, gateFormat.Version, gateFormat.Param, gateFormat.Site, gateFormat.Convention)
	}
	set, err := safetensors.Open(filepath.Join(dir, gateWeights))
	if err != nil {
		return nil, err
	}
	defer set.Close()
	g := &Gates{}
	for _, name := range set.Names() {
		gate, err := readGate(set, name, g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", gateWeights, err)
		}
		g.Layers = append(g.Layers, gate)
	}
	slices.SortFunc(g.Layers, func(a, b Gate) int { return cmp.Compare(a.Layer, b.Layer) })
	var have []int
	for _, gate := range g.Layers {
		have = append(have, gate.Layer)
	}
	slices.Sort(c.Layers)
	if !slices.Equal(have, c.Layers) {
		return nil, fmt.Errorf("%s says that layers %v have gates, %s holds those of %v", gateConfig, c.Layers, gateWeights, have)
	}
	return g, nil
}

func readGate(set *safetensors.Set, name string, g *Gates) (Gate, error) {
	info, _ := set.Info(name)
	layer := layerOf(name)
	if name != gatePrefix+strconv.Itoa(layer)+gateSuffix || len(info.Shape) != 2 || info.Shape[1] != Params {
		return Gate{}, fmt.Errorf("tensor %q of shape %v is no gate ([width/8, %d] as model.layers.N%s)", name, info.Shape, Params, gateSuffix)
	}
	hidden := info.Shape[0] * Block
	if g.Hidden != 0 && g.Hidden != hidden {
		return Gate{}, fmt.Errorf("tensor %q is for width %d, another one for %d", name, hidden, g.Hidden)
	}
	g.Hidden = hidden
	theta, err := set.Floats(name)
	if err == nil {
		err = CheckTheta(theta, hidden)
	}
	return Gate{Layer: layer, Theta: theta}, err
}
