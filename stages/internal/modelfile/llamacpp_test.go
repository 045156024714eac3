package modelfile

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/imatrix"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
)

// llamaProgram finds one of llama.cpp's programs, in the folder that SO8T_TEST_LLAMACPP names or on PATH; "" when it
// is not installed.
func llamaProgram(name string) string {
	if dir := os.Getenv("SO8T_TEST_LLAMACPP"); dir != "" {
		return filepath.Join(dir, name)
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return program
}

func llamaQuantize(t testing.TB) string {
	t.Helper()
	program := llamaProgram("llama-quantize")
	if program == "" {
		t.Skip("llama.cpp is not installed: put llama-quantize on PATH or its folder into SO8T_TEST_LLAMACPP")
	}
	return program
}

// random is a source of numbers that depend on their place alone, with a distribution for each
// tensor: bell-shaped ones of all sizes, constants, rows of zeros, spikes.
type random struct{ config *phi3.Config }

func (r random) Names() []string {
	var names []string
	for _, t := range r.config.Tensors() {
		names = append(names, t.Name)
	}
	return names
}

func (r random) Shape(name string) ([]int, bool) {
	for _, t := range r.config.Tensors() {
		if t.Name == name {
			return t.Shape, true
		}
	}
	return nil, false
}

func (r random) ReadFloats(name string, first int, dst []float32) error {
	seed := uint64(len(name))
	for _, c := range name {
		seed = seed*0x100000001b3 ^ uint64(c)
	}
	kind := seed % 8
	for i := range dst {
		at := uint64(first + i)
		h := mixed(seed + at)
		v := (float64(h&0xffff) + float64(h>>16&0xffff) + float64(h>>32&0xffff) + float64(h>>48) - 2*65536) / 65536
		switch kind {
		case 0:
			v *= math.Ldexp(1, int(mixed(seed+at/32)%24)-20)
		case 1:
			v = float64(mixed(seed+at/64)%5) - 2
		case 2:
			if at/512%3 == 0 {
				v = 0
			}
		case 3:
			if h%97 == 0 {
				v *= 500
			}
		case 4:
			v = math.Abs(v) + 0.01
		}
		dst[i] = float32(v / 32)
	}
	return nil
}

func mixed(z uint64) uint64 {
	z = (z + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>31) * 0x94d049bb133111eb
	return z ^ z>>29
}

// shaped is an export of random weights of a model of another shape, with the tiny one's
// tokenizer.
func shaped(t testing.TB, hidden, intermediate, layers int, tied bool) Export {
	t.Helper()
	m, err := Open(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	c := *m.Config
	c.Hidden, c.Intermediate, c.Layers, c.TiedEmbeddings = hidden, intermediate, layers, tied
	c.Heads, c.KVHeads = hidden/c.HeadDim, hidden/c.HeadDim
	return Export{Name: "random", Config: &c, Source: random{&c}, Template: m.Template}
}

func (e Export) file(t testing.TB, mix string) string {
	t.Helper()
	var err error
	if e.Mix, err = quant.ParseMix(mix); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), mix+".gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := e.Write(f, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every tensor equals what llama-quantize makes of the same weights, for models of other shapes.
func TestWrite_EqualsLlamaQuantizeHere(t *testing.T) {
	program := llamaQuantize(t)
	for _, c := range []struct {
		hidden, intermediate, layers int
		tied                         bool
		mixes                        []string
	}{
		{256, 512, 9, true, quant.MixNames()},
		{512, 768, 17, false, []string{"Q4_K_S", "Q3_K_M", "Q4_K_M"}},
		{320, 512, 2, true, []string{"Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q3_K_S"}},
		{256, 520, 3, false, []string{"Q8_0", "Q5_K_M", "Q4_K_S", "Q3_K_M"}},
	} {
		e := shaped(t, c.hidden, c.intermediate, c.layers, c.tied)
		whole := e.file(t, "F32")
		for _, mix := range c.mixes {
			t.Run(fmt.Sprintf("%dx%d,%d,%s", c.hidden, c.intermediate, c.layers, mix), func(t *testing.T) {
				theirs := filepath.Join(t.TempDir(), "theirs.gguf")
				said, err := exec.Command(program, whole, theirs, mix, strconv.Itoa(2)).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				sameTensors(t, e.file(t, mix), theirs)
			})
		}
	}
}

// With an importance matrix of random numbers, which both read from one file.
func TestWrite_EqualsLlamaQuantizeHereWithImatrix(t *testing.T) {
	program := llamaQuantize(t)
	for _, shape := range [][3]int{{256, 512, 9}, {320, 544, 9}} {
		e := shaped(t, shape[0], shape[1], shape[2], true)
		m := imatrix.New([]string{"random"}, 512)
		m.Chunks = 1
		for _, tensor := range e.Config.Tensors() {
			if tensor.Layer >= 0 && len(tensor.Shape) == 2 {
				rows := make([]float32, 3*tensor.Shape[1])
				if err := e.Source.ReadFloats(tensor.Name, 0, rows); err != nil {
					t.Fatal(err)
				}
				m.Add(ggufName(tensor), rows, tensor.Shape[1])
			}
		}
		importance := filepath.Join(t.TempDir(), "imatrix.gguf")
		f, err := os.Create(importance)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Write(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		whole := e.file(t, "F32")
		if err := e.UseImatrix(m, "imatrix.gguf"); err != nil {
			t.Fatal(err)
		}
		for _, mix := range []string{"Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q5_0", "Q3_K_M"} {
			t.Run(fmt.Sprintf("%d,%s", shape[0], mix), func(t *testing.T) {
				theirs := filepath.Join(t.TempDir(), "theirs.gguf")
				said, err := exec.Command(program, "--imatrix", importance, whole, theirs, mix, "2").CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				sameTensors(t, e.file(t, mix), theirs)
			})
		}
	}
}

// sameTensors wants two files to hold the same tensors, in whatever order.
func sameTensors(t *testing.T, ours, theirs string) {
	t.Helper()
	got, err := ggufio.Open(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	want, err := ggufio.Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if len(got.Tensors) != len(want.Tensors) {
		t.Errorf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	for _, w := range want.Tensors {
		g, ok := got.Tensor(w.Name)
		if !ok || g.Type != w.Type {
			t.Errorf("%s: %v, want %v", w.Name, g.Type, w.Type)
			continue
		}
		x, y := bytesOf(t, got, g), bytesOf(t, want, w)
		differ := 0
		for i := range y {
			if x[i] != y[i] {
				differ++
			}
		}
		if differ > 0 {
			t.Errorf("%s, %v: %d of %d bytes differ", w.Name, w.Type, differ, len(y))
		}
	}
	for _, key := range []string{keyFileType, keyQuantVersion, keyLayers, keySize} {
		x, _ := got.Get(key)
		y, _ := want.Get(key)
		if x != y {
			t.Errorf("%s is %v, want %v", key, x, y)
		}
	}
}
