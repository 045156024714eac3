package modelfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/imatrix"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
)

const tinyHF = "testdata/tiny-hf"

// tables is what llama.cpp's converter and quantiser made of testdata/tiny-hf.
func tables(t *testing.T) map[string]struct {
	FileSHA string `json:"file_sha256"`
	Tensors map[string]struct{ Type, SHA256 string }
} {
	t.Helper()
	b, err := os.ReadFile("testdata/quant-tables.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		FileSHA string `json:"file_sha256"`
		Tensors map[string]struct{ Type, SHA256 string }
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func export(t *testing.T, typ string) []byte {
	t.Helper()
	return exportWith(t, typ, func(*Export) error { return nil })
}

func exportWith(t *testing.T, typ string, change func(*Export) error) []byte {
	t.Helper()
	mix, err := quant.ParseMix(typ)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var b bytes.Buffer
	e := Export{Name: "so8t tiny", Mix: mix, Config: m.Config, Source: m.Source, Template: m.Template}
	if err := change(&e); err != nil {
		t.Fatal(err)
	}
	if err := e.Write(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The whole file equals that of llama.cpp's converter, byte for byte.
func TestWrite_EqualsLlamaCppsConverter(t *testing.T) {
	want := tables(t)
	for _, typ := range []string{"F16", "BF16", "F32"} {
		if got := sha(export(t, typ)); got != want[typ].FileSHA {
			t.Errorf("%s: sha256 %s, want %s", typ, got, want[typ].FileSHA)
		}
	}
}

// Every tensor equals that of llama-quantize.
func TestWrite_EqualsLlamaQuantize(t *testing.T) {
	for _, typ := range []string{"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"} {
		t.Run(typ, func(t *testing.T) { tensorsEqual(t, export(t, typ), tables(t)[typ].Tensors) })
	}
}

// With an importance matrix of llama-imatrix, too. llama-quantize read the F16 file, where a few
// weights are rounded.
func TestWrite_EqualsLlamaQuantizeWithImatrix(t *testing.T) {
	m, err := imatrix.Read("testdata/imatrix.gguf")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f16.gguf")
	if err := os.WriteFile(path, export(t, "F16"), 0o644); err != nil {
		t.Fatal(err)
	}
	half, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	b := exportWith(t, "Q4_K_M", func(e *Export) error { e.Source = half.Source; return e.UseImatrix(m, "imatrix.gguf") })
	tensorsEqual(t, b, tables(t)["Q4_K_M-imatrix"].Tensors)
	for _, key := range []string{keyImatrixFile, keyImatrixDataset, keyImatrixEntries, keyImatrixChunks} {
		if !bytes.Contains(b, []byte(key)) {
			t.Errorf("no %s", key)
		}
	}
}

// A matrix of another model must not be used.
func TestUseImatrix_RefusesAnotherModels(t *testing.T) {
	m, err := imatrix.Read("testdata/imatrix.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][3]int{{320, 512, 4}, {256, 512, 3}} {
		e := shaped(t, shape[0], shape[1], shape[2], true)
		if err := e.UseImatrix(m, "x"); err == nil || !strings.Contains(err.Error(), "another model") {
			t.Errorf("%v: %v", shape, err)
		}
	}
}

func tensorsEqual(t *testing.T, got []byte, want map[string]struct{ Type, SHA256 string }) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "q.gguf")
	if err := os.WriteFile(path, got, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := ggufio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if len(file.Tensors) != len(want) {
		t.Errorf("%d tensors, want %d", len(file.Tensors), len(want))
	}
	for _, tensor := range file.Tensors {
		b := bytesOf(t, file, tensor)
		if w := want[tensor.Name]; sha(b) != w.SHA256 || tensor.Type.String() != w.Type {
			t.Errorf("tensor %q: %v %s, want %s %s", tensor.Name, tensor.Type, sha(b), w.Type, w.SHA256)
		}
	}
}

// broken gives one tensor an element that is no number.
type broken struct{ phi3.Source }

func (b broken) ReadFloats(name string, first int, dst []float32) error {
	err := b.Source.ReadFloats(name, first, dst)
	if name == "model.layers.1.mlp.down_proj.weight" {
		dst[len(dst)-1] = float32(math.NaN())
	}
	return err
}

func TestWrite_RefusesWhatIsNoNumber(t *testing.T) {
	m, err := Open(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, name := range quant.MixNames() {
		mix, _ := quant.ParseMix(name)
		e := Export{Name: "broken", Mix: mix, Config: m.Config, Source: broken{m.Source}, Template: m.Template}
		if err := e.Write(&bytes.Buffer{}, nil); err == nil || !strings.Contains(err.Error(), "layers.1.mlp.down_proj") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpen_GGUFEqualsItsFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f32.gguf")
	if err := os.WriteFile(path, export(t, "F32"), 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	h, err := Open(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, b := *g.Config, *h.Config
	a.DType, b.DType, a.InitRange, b.InitRange = "", "", 0, 0 // not in a GGUF file
	for i, v := range b.Rope.Long {                           // factors are float32 there
		if float32(a.Rope.Long[i]) != float32(v) {
			t.Errorf("long factor %d is %v, want %v", i, a.Rope.Long[i], v)
		}
	}
	a.Rope, b.Rope = nil, nil
	if x, y := asText(t, a), asText(t, b); x != y {
		t.Errorf("configuration differs:\n%s\n%s", x, y)
	}
	for _, tensor := range h.Config.Tensors() {
		x, y := make([]float32, tensor.Len()), make([]float32, tensor.Len())
		if err := g.Source.ReadFloats(tensor.Name, 0, x); err != nil {
			t.Fatal(err)
		}
		if err := h.Source.ReadFloats(tensor.Name, 0, y); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			if math.Float32bits(x[i]) != math.Float32bits(y[i]) {
				t.Fatalf("tensor %q differs at %d: %v, %v", tensor.Name, i, x[i], y[i])
			}
		}
	}
	for _, text := range []string{"外部の業者が大阪支店で議事録を印刷してもよいですか。", "判定: ALLOW\n", "a <|end|> b"} {
		x, y := g.Template.Tokenizer().Encode(text), h.Template.Tokenizer().Encode(text)
		if asText(t, x) != asText(t, y) {
			t.Errorf("%q is %v in the GGUF and %v in the folder", text, x, y)
		}
	}
}

func TestWrite_RefusesNamesThatDoNotLoad(t *testing.T) {
	m, err := Open(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f16, err := quant.ParseMix("F16")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "my-Phi-3", "PHI3"} {
		if err := (Export{Name: name, Mix: f16, Config: m.Config, Source: m.Source, Template: m.Template}).Write(&bytes.Buffer{}, nil); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
}

func TestOpen_TruncatedGGUFIsRefused(t *testing.T) {
	whole := export(t, "F16")
	path := filepath.Join(t.TempDir(), "cut.gguf")
	for _, n := range []int{0, 3, 4, 20, 1000, 70000, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if m, err := Open(path); err == nil {
			m.Close()
			t.Errorf("a file cut to %d of %d bytes is accepted", n, len(whole))
		}
	}
}

func TestSizeLabel(t *testing.T) {
	for n, want := range map[int64]string{2_894_080: "2.9M", 670_000: "670K", 3_836_021_760: "3.8B", 14_700_000_000: "15B", 999: "999"} {
		if got := sizeLabel(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func asText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A number of layers that the file cannot hold must not be worked through.
func TestOpen_MoreLayersThanTensorsIsRefused(t *testing.T) {
	file := export(t, "F16")
	at := bytes.Index(file, []byte(keyLayers)) + len(keyLayers) + 4 // the value's type
	binary.LittleEndian.PutUint32(file[at:], 4_000_000_000)
	path := filepath.Join(t.TempDir(), "layers.gguf")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	var format *ggufio.FormatError
	if _, err := Open(path); !errors.As(err, &format) {
		t.Errorf("got %v", err)
	}
}

func bytesOf(t *testing.T, file *ggufio.File, tensor ggufio.TensorInfo) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := file.CopyTo(&b, tensor); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
