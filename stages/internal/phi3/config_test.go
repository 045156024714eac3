package phi3

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// phi4mini is Phi-4-mini-instruct's own configuration, shortened to what matters.
const phi4mini = `{"architectures":["Phi3ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"auto_map":{"AutoConfig":"configuration_phi3.Phi3Config"},
"bos_token_id":199999,"embd_pdrop":0.0,"eos_token_id":199999,"full_attn_mod":1,"hidden_act":"silu","hidden_size":3072,"initializer_range":0.02,
"interpolate_factor":1,"intermediate_size":8192,"lm_head_bias":false,"max_position_embeddings":131072,"mlp_bias":false,"model_type":"phi3",
"num_attention_heads":24,"num_hidden_layers":32,"num_key_value_heads":8,"original_max_position_embeddings":4096,"pad_token_id":199999,
"partial_rotary_factor":0.75,"resid_pdrop":0.0,"rms_norm_eps":1e-05,"rope_scaling":{"long_factor":FACTORS,"short_factor":FACTORS,"type":"longrope"},
"rope_theta":10000.0,"sliding_window":262144,"tie_word_embeddings":true,"torch_dtype":"bfloat16","transformers_version":"4.45.0","use_cache":true,"vocab_size":200064}`

func phi4miniText() string {
	return strings.ReplaceAll(phi4mini, "FACTORS", "["+strings.Repeat("1.0,", 47)+"1.0]")
}

func phi4miniConfig(t *testing.T) *Config {
	t.Helper()
	c, err := ParseConfig("config.json", []byte(phi4miniText()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseConfig_Phi4Mini(t *testing.T) {
	c := phi4miniConfig(t)
	if c.Parameters() != 3_836_021_760 {
		t.Errorf("%d parameters, Phi-4-mini has 3,836,021,760", c.Parameters())
	}
	if len(c.Tensors()) != 194 {
		t.Errorf("%d tensors, Phi-4-mini has 194", len(c.Tensors()))
	}
	if c.HeadDim != 128 || c.RotaryDim() != 96 || c.QKVOut() != 5120 {
		t.Errorf("head %d, rotary %d, qkv %d", c.HeadDim, c.RotaryDim(), c.QKVOut())
	}
	if f := c.AttentionFactor(); math.Abs(f-1.1902380714238083) > 1e-15 {
		t.Errorf("attention factor %v", f)
	}
	if c.UsesLong(4096) || !c.UsesLong(4097) {
		t.Error("the long factors begin at another length than 4097")
	}
	if c.Unrecognised != nil {
		t.Errorf("unrecognised: %q", c.Unrecognised)
	}
}

func TestReadConfig_BothStylesAreEqual(t *testing.T) {
	for _, model := range []string{"tiny-phi3", "tiny-phi3-b"} {
		old, err := ReadConfig("testdata/" + model)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("testdata/" + model + "/config.transformers5.json")
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := ParseConfig("config.transformers5.json", text)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(old, fresh) {
			t.Errorf("%s: transformers 4 %+v\ntransformers 5 %+v", model, old, fresh)
		}
	}
}

func TestMarshalConfig_RoundTrip(t *testing.T) {
	odd := phi4miniConfig(t)
	odd.EOS, odd.Pad, odd.HeadDim, odd.SlidingWindow = []int{200020, 199999}, -1, 96, 0
	odd.Rope.AttentionFactor, odd.PartialRotary = 1.5, 1
	odd.BOS = 0
	for _, dir := range []string{"tiny-phi3", "tiny-phi3-b", ""} {
		c := odd
		if dir != "" {
			var err error
			if c, err = ReadConfig("testdata/" + dir); err != nil {
				t.Fatal(err)
			}
		}
		text, err := c.MarshalConfig("bfloat16")
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseConfig("written", text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", dir, err, text)
		}
		want := *c
		want.DType = "bfloat16"
		if !reflect.DeepEqual(&want, back) {
			t.Errorf("%s: wrote %+v\nread %+v", dir, &want, back)
		}
	}
}

func TestParseConfig_RefusesByName(t *testing.T) {
	var good map[string]any
	if err := json.Unmarshal([]byte(phi4miniText()), &good); err != nil {
		t.Fatal(err)
	}
	rope := func(key string, value any) map[string]any {
		r := maps.Clone(good["rope_scaling"].(map[string]any))
		r[key] = value
		return map[string]any{"rope_scaling": r}
	}
	for name, c := range map[string]struct {
		set  map[string]any
		want string
	}{
		"another model":          {map[string]any{"model_type": "llama"}, `model_type is "llama"`},
		"another class":          {map[string]any{"architectures": []string{"PhiMoEForCausalLM"}}, "PhiMoEForCausalLM"},
		"sliding window":         {map[string]any{"sliding_window": -1}, "sliding_window is -1"},
		"bias":                   {map[string]any{"attention_bias": true}, "attention_bias"},
		"head bias":              {map[string]any{"lm_head_bias": true}, "lm_head_bias"},
		"activation":             {map[string]any{"hidden_act": "gelu"}, "gelu"},
		"dropout":                {map[string]any{"resid_pdrop": 0.1}, "resid_pdrop"},
		"interpolation":          {map[string]any{"interpolate_factor": 2}, "interpolate_factor"},
		"quantised":              {map[string]any{"quantization_config": map[string]any{"bits": 4}}, "quantization_config"},
		"windowed layers":        {map[string]any{"layer_types": []string{"sliding_attention"}}, "layer_types"},
		"missing size":           {map[string]any{"hidden_size": nil}, "hidden_size is missing"},
		"size of wrong type":     {map[string]any{"hidden_size": "big"}, `hidden_size is "big"`},
		"fractional size":        {map[string]any{"num_hidden_layers": 1.5}, "num_hidden_layers is 1.5"},
		"negative size":          {map[string]any{"vocab_size": -4}, "vocab_size is -4"},
		"too many layers":        {map[string]any{"num_hidden_layers": 2000000000}, "num_hidden_layers is 2000000000"},
		"zero heads":             {map[string]any{"num_key_value_heads": 0}, "num_key_value_heads is 0"},
		"uneven groups":          {map[string]any{"num_key_value_heads": 7}, "multiple of num_key_value_heads 7"},
		"odd rotary":             {map[string]any{"partial_rotary_factor": 0.7421875}, "95 rotary"},
		"unknown rope":           {rope("type", "linear"), `"linear" is not supported`},
		"short list":             {rope("short_factor", []float64{1}), "short_factor has 1 values"},
		"negative factor":        {rope("long_factor", append(make([]float64, 47), -1)), "long_factor[0] is 0"},
		"contradiction":          {rope("rope_theta", 500), "rope_theta is 10000 at the top level but 500"},
		"unknown rope key":       {rope("short_mscale", 1.2), "short_mscale"},
		"two ropes":              {map[string]any{"rope_parameters": map[string]any{"rope_type": "default"}}, "both set"},
		"dynamic rope":           {map[string]any{"rope_scaling": map[string]any{"type": "dynamic", "factor": 2}}, `"dynamic" is not supported`},
		"llama's rope":           {map[string]any{"rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8}}, `"llama3" is not supported`},
		"rope as a text":         {map[string]any{"rope_scaling": "longrope"}, "rope_scaling is \"longrope\"; an object expected"},
		"two kinds":              {rope("rope_type", "default"), `rope_type is "default" but type is "longrope"`},
		"no short list":          {rope("short_factor", nil), "short_factor is missing"},
		"no original length":     {map[string]any{"original_max_position_embeddings": nil}, "original_max_position_embeddings is missing"},
		"original too long":      {map[string]any{"original_max_position_embeddings": 262144}, "262144 is above max_position_embeddings"},
		"fractional length":      {map[string]any{"original_max_position_embeddings": nil, "rope_scaling": rope("original_max_position_embeddings", 4096.5)["rope_scaling"]}, "original_max_position_embeddings is 4096.5"},
		"window of nothing":      {map[string]any{"sliding_window": 0}, "sliding_window is 0"},
		"eight-bit floats":       {map[string]any{"torch_dtype": "float8_e4m3fn"}, `torch_dtype is "float8_e4m3fn"`},
		"type of the loader":     {map[string]any{"torch_dtype": nil, "dtype": "auto"}, `dtype is "auto"`},
		"two types":              {map[string]any{"dtype": "float32"}, `torch_dtype is "bfloat16" but dtype is "float32"`},
		"end of no token":        {map[string]any{"eos_token_id": []int{200020, 200064}}, "eos_token_id 200064"},
		"pad of no token":        {map[string]any{"pad_token_id": 300000}, "pad_token_id 300000"},
		"capped logits":          {map[string]any{"final_logit_softcapping": 30.0}, "final_logit_softcapping"},
		"scaled residuals":       {map[string]any{"residual_multiplier": 0.2}, "residual_multiplier"},
		"experts":                {map[string]any{"num_local_experts": 16}, "num_local_experts"},
		"no epsilon":             {map[string]any{"rms_norm_eps": 1e-60}, "rms_norm_eps is 1e-60"},
		"more than fits":         {map[string]any{"hidden_size": 1200000000, "intermediate_size": 2000000000}, "parameters"},
		"more heads than memory": {map[string]any{"num_attention_heads": 2000000000, "head_dim": 2000000000, "rope_scaling": nil}, "parameters"},
		"window as a text":       {map[string]any{"sliding_window": "off"}, `sliding_window is "off"`},
		"heads too large":        {map[string]any{"num_attention_heads": 1e30}, "num_attention_heads is 1e+30"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := maps.Clone(good)
			maps.Copy(bad, c.set)
			text, err := json.Marshal(bad)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ParseConfig("config.json", text)
			var input *InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; expected %q", err, c.want)
			}
		})
	}
}

func TestParseConfig_UnknownKeysAreNamed(t *testing.T) {
	text := strings.Replace(phi4miniText(), `{"arch`, `{"mystery":1,"so8t_baked":true,"alpha_gate":2,"arch`, 1)
	c, err := ParseConfig("config.json", []byte(text))
	if err != nil || !reflect.DeepEqual(c.Unrecognised, []string{"alpha_gate", "mystery"}) {
		t.Errorf("unrecognised %q, %v", c.Unrecognised, err)
	}
}

func TestReadConfig_BadFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadConfig(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "Hugging Face") {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"hidden_size": 12`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), "download it again") {
		t.Errorf("cut-off file: %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(phi4miniText()))
	f.Add([]byte(`{"model_type":"phi3","hidden_size":1e300,"rope_scaling":{"type":"su","short_factor":[]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig("fuzz", text)
		if err != nil {
			return
		}
		// What is accepted can be planned with and written again.
		again, err := c.MarshalConfig("float32")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig("again", again); err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
	})
}

func TestSelectTargets(t *testing.T) {
	c := phi4miniConfig(t)
	for _, tc := range []struct {
		entries []string
		want    int
	}{
		{Modules, 128}, {[]string{"all-linear"}, 128}, {[]string{QKV}, 32}, {[]string{"self_attn.o_proj", QKV}, 64},
		{[]string{`model\.layers\.(0|31)\.mlp\..*`}, 4}, {[]string{"model.layers.3.mlp.down_proj"}, 1}, {[]string{QKV, ".*qkv_proj"}, 32},
	} {
		got, err := c.SelectTargets(tc.entries)
		if err != nil || len(got) != tc.want {
			t.Errorf("%q: %d targets, %v; expected %d", tc.entries, len(got), err, tc.want)
		}
	}
	for entry, want := range map[string]string{
		"q_proj": "did you mean qkv_proj", "up_proj": "did you mean gate_up_proj", "fc1": "qkv_proj, o_proj", "(": "regular expression", "layers": "matches no module",
	} {
		if _, err := c.SelectTargets([]string{QKV, entry}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	if _, err := c.SelectTargets(nil); err == nil {
		t.Error("no target at all was accepted")
	}
}

func TestSelectLayers(t *testing.T) {
	for _, tc := range []struct {
		layers int
		choice string
		want   []int
	}{
		{3, "all", []int{0, 1, 2}}, {3, "middle", []int{1}}, {4, "middle", []int{1, 2}}, {1, "middle", []int{0}}, {2, "middle", []int{1}},
		{8, "middle", []int{2, 3, 4, 5}}, {4, "none", nil}, {4, "", nil}, {12, "11, 0,3-5,4", []int{0, 3, 4, 5, 11}},
	} {
		c := &Config{Layers: tc.layers}
		got, err := c.SelectLayers(tc.choice)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%d layers, %q: %v, %v; expected %v", tc.layers, tc.choice, got, err, tc.want)
		}
	}
	for _, bad := range []string{"4", "-1", "x", "2-1", "0-9"} {
		if got, err := (&Config{Layers: 4}).SelectLayers(bad); err == nil {
			t.Errorf("%q was accepted: %v", bad, got)
		}
	}
}

func TestOpenFolder_TypeOfTheWeightsWhenConfigDoesNotSay(t *testing.T) {
	dir := copyModel(t, "tiny-phi3")
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(`"torch_dtype": "float32",`), nil, 1), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(dir)
	if err != nil || c.DType != "" {
		t.Fatalf("config.json still says %q, %v", c.DType, err)
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Config.DType != "float32" {
		t.Errorf("type %q, want float32", f.Config.DType)
	}
}

// A sliding window is refused where it would bind, by name, and nowhere before.
func TestConfig_SlidingWindowRefusedWhereItBinds(t *testing.T) {
	w := load(t, "tiny-phi3", StoreNative)
	c := *w.Config
	c.SlidingWindow = 40
	windowed := *w
	windowed.Config = &c
	be := single(t)
	r := runner(t, be, &windowed, 40, nil)
	f := openFixture(t, "logits.safetensors")
	got, err := r.Logits(f.ints("phi3.seq33.ids"))
	if err != nil {
		t.Fatal(err)
	}
	compareRows(t, got, c.Vocab, f.ints("phi3.seq33.positions"), f.f64("phi3.seq33.logits_f64"), 5e-4)
	if _, err := NewBase(be, &windowed, 41); err == nil || !strings.Contains(err.Error(), "sliding_window") {
		t.Errorf("41 tokens: %v", err)
	}
	if _, err := NewAdapterModel(be, &windowed, TrainOptions{MaxLen: 41}, AdapterOptions{Gates: "all"}); err == nil || !strings.Contains(err.Error(), "sliding_window") {
		t.Errorf("training on 41 tokens: %v", err)
	}
	if w.Config.Longest() != 512 || phi4miniConfig(t).Longest() != 131072 {
		t.Error("without a window, or with one that never binds, all positions can be used")
	}
}
