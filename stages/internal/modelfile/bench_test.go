package modelfile

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// BenchmarkQuantize turns an F16 file of 69 M weights into another type, from start to a synced
// file, beside llama-quantize doing the same when it is installed.
func BenchmarkQuantize(b *testing.B) {
	whole := shaped(b, 1024, 4096, 4, true).file(b, "F16")
	for _, mix := range []string{"Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"} {
		for _, jobs := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", mix, jobs), func(b *testing.B) {
				var weights int64
				for b.Loop() {
					weights = convert(b, whole, mix, jobs)
				}
				ours := float64(weights) * float64(b.N) / b.Elapsed().Seconds() / 1e6
				b.ReportMetric(ours, "Mweights/s")
				b.ReportMetric(0, "ns/op")
				if theirs := llamaSpeed(b, whole, mix, jobs, weights); theirs > 0 {
					b.ReportMetric(theirs, "llama-Mweights/s")
					b.ReportMetric(ours/theirs, "x-llama")
				}
			})
		}
	}
}

// convert writes a model as another type and returns its number of weights.
func convert(b *testing.B, in, mix string, jobs int) int64 {
	b.Helper()
	m, err := Open(in)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	e := Export{Name: "bench", Config: m.Config, Source: m.Source, Template: m.Template, Jobs: jobs}
	if e.Mix, err = quant.ParseMix(mix); err != nil {
		b.Fatal(err)
	}
	synced(b, func(w io.Writer) error { return e.Write(w, nil) })
	return m.Config.Parameters()
}

// synced writes a file to disk and removes it.
func synced(b *testing.B, write func(io.Writer) error) {
	b.Helper()
	f, err := os.CreateTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// llamaSpeed is that of llama-quantize in millions of weights per second by the time it says that
// quantising took, without its start; 0 when it is not installed.
func llamaSpeed(b *testing.B, in, mix string, jobs int, weights int64) float64 {
	program, err := exec.LookPath("llama-quantize")
	if dir := os.Getenv("SO8T_TEST_LLAMACPP"); dir != "" {
		program, err = filepath.Join(dir, "llama-quantize"), nil
	}
	if err != nil {
		return 0
	}
	out := filepath.Join(b.TempDir(), "theirs.gguf")
	said, err := exec.Command(program, in, out, mix, strconv.Itoa(jobs)).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, said)
	}
	_, rest, _ := strings.Cut(string(said), "quantize time = ")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	ms, err := strconv.ParseFloat(number, 64)
	if err != nil {
		b.Fatalf("no time in %s", said)
	}
	return float64(weights) / ms / 1e3
}

// BenchmarkF16OfFolder turns 1 GB of bf16 safetensors into an F16 file, beside copying the same
// bytes; both are synced. peak-MB is this process's memory, the files' pages included.
func BenchmarkF16OfFolder(b *testing.B) {
	in := folder(b)
	info, err := os.Stat(filepath.Join(in, "model.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	resetPeak()
	for b.Loop() {
		convert(b, in, "F16", 0)
	}
	rate := float64(info.Size()) * float64(b.N) / b.Elapsed().Seconds() / 1e6
	b.ReportMetric(rate, "MB/s")
	if peak := peakBytes(); peak > 0 {
		b.ReportMetric(peak/1e6, "peak-MB")
	}
	begin := time.Now()
	synced(b, func(w io.Writer) error { return copyFile(w, filepath.Join(in, "model.safetensors")) })
	cp := float64(info.Size()) / time.Since(begin).Seconds() / 1e6
	b.ReportMetric(cp, "cp-MB/s")
	b.ReportMetric(rate/cp, "x-cp")
	b.ReportMetric(0, "ns/op")
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// folder is a Hugging Face folder of 1 GB, whose weights repeat.
func folder(b *testing.B) string {
	b.Helper()
	e := shaped(b, 2048, 8192, 7, true)
	dir := b.TempDir()
	config, err := e.Config.MarshalConfig("bfloat16")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(filepath.Join(tinyHF, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	pattern := make([]float32, 1<<20)
	if err := e.Source.ReadFloats("any", 0, pattern); err != nil {
		b.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for _, t := range e.Config.Tensors() {
		tensors = append(tensors, safetensors.Tensor{Name: t.Name, DType: safetensors.BF16, Shape: t.Shape, WriteTo: func(w io.Writer) error {
			for left := t.Len(); left > 0; left -= len(pattern) {
				if err := safetensors.WriteFloats(w, safetensors.BF16, pattern[:min(left, len(pattern))]); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"}); err != nil {
		b.Fatal(err)
	}
	return dir
}

// resetPeak makes peakBytes count from here on, where the system can.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakBytes is the largest resident memory; 0 where the system does not say.
func peakBytes() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kb float64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %f kB", &kb); err == nil {
			return kb * 1024
		}
	}
	return 0
}
