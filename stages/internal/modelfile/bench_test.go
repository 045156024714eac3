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
	"github.com/so8t/so8t/stages/internal/settle"
)

// BenchmarkQuantize turns an F16 file of 69 M weights into another type, from start to a synced
// file, beside llama-quantize doing the same when it is installed, in turn. share-of-cp is the time
// that copying and syncing a file of the written size takes, over ours.
func BenchmarkQuantize(b *testing.B) {
	whole := shaped(b, 1024, 4096, 4, true).file(b, "F16")
	for _, mix := range []string{"Q4_K_M", "Q5_K_M", "Q6_K", "Q4_K_S", "Q3_K_M", "Q4_0", "Q8_0", "F16"} {
		for _, jobs := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", mix, jobs), func(b *testing.B) {
				var weights, size int64
				var ours, theirs, copying time.Duration
				for b.Loop() {
					begin := time.Now()
					weights, size = convert(b, whole, mix, jobs)
					ours += time.Since(begin)
					copying += copied(b, whole, size)
					theirs += llamaTime(b, whole, mix, jobs)
				}
				b.ReportMetric(float64(weights)*float64(b.N)/ours.Seconds()/1e6, "Mweights/s")
				b.ReportMetric(copying.Seconds()/ours.Seconds(), "share-of-cp")
				b.ReportMetric(0, "ns/op")
				if theirs > 0 {
					b.ReportMetric(float64(weights)*float64(b.N)/theirs.Seconds()/1e6, "llama-Mweights/s")
					b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-llama")
				}
			})
		}
	}
}

// convert writes a model as another type and returns its number of weights and the file's size.
func convert(b *testing.B, in, mix string, jobs int) (weights, size int64) {
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
	synced(b, func(f *os.File) error {
		w := settle.New(f, false)
		if err := e.Write(w, nil); err != nil {
			return err
		}
		if err := w.Sync(); err != nil {
			return err
		}
		info, err := f.Stat()
		size = info.Size()
		return err
	})
	return m.Config.Parameters(), size
}

// synced lets a file be written, to the disk, and removes it.
func synced(b *testing.B, write func(*os.File) error) {
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
}

// copied is how long the first n bytes of a file take to be copied and synced.
func copied(b *testing.B, path string, n int64) time.Duration {
	b.Helper()
	begin := time.Now()
	synced(b, func(f *os.File) error { return copyFile(f, path, n) })
	return time.Since(begin)
}

// llamaTime is how long llama-quantize says that quantising took, without its start, and the sync
// that it leaves to others; 0 when it is not installed.
func llamaTime(b *testing.B, in, mix string, jobs int) time.Duration {
	program := llamaProgram("llama-quantize")
	if program == "" {
		return 0
	}
	out := filepath.Join(b.TempDir(), "theirs.gguf")
	said, err := exec.Command(program, in, out, mix, strconv.Itoa(jobs)).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, said)
	}
	defer os.Remove(out)
	_, rest, _ := strings.Cut(string(said), "quantize time = ")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	ms, err := strconv.ParseFloat(number, 64)
	if err != nil {
		b.Fatalf("no time in %s", said)
	}
	f, err := os.OpenFile(out, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	begin := time.Now()
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ms*float64(time.Millisecond)) + time.Since(begin)
}

// BenchmarkF16OfFolder turns 1 GB of bf16 safetensors into an F16 file, beside copying the same
// bytes, in turn; both are synced. peak-MB is this process's memory, the files' pages included.
// Where SO8T_TEST_LLAMACPP and SO8T_TEST_TRANSFORMERS_VENV name them, llama.cpp's converter does it
// too, once.
func BenchmarkF16OfFolder(b *testing.B) {
	in := folder(b)
	weights := filepath.Join(in, "model.safetensors")
	info, err := os.Stat(weights)
	if err != nil {
		b.Fatal(err)
	}
	var ours, copying time.Duration
	resetPeak()
	for b.Loop() {
		begin := time.Now()
		convert(b, in, "F16", 0)
		ours += time.Since(begin)
		copying += copied(b, weights, info.Size())
	}
	speed := func(d time.Duration) float64 { return float64(info.Size()) * float64(b.N) / d.Seconds() / 1e6 }
	b.ReportMetric(speed(ours), "MB/s")
	if peak := peakBytes(); peak > 0 {
		b.ReportMetric(peak/1e6, "peak-MB")
	}
	b.ReportMetric(speed(copying), "cp-MB/s")
	b.ReportMetric(copying.Seconds()/ours.Seconds(), "share-of-cp")
	b.ReportMetric(0, "ns/op")
	if theirs := converterTime(b, in); theirs > 0 {
		b.ReportMetric(theirs.Seconds()/(ours.Seconds()/float64(b.N)), "x-converter")
	}
}

// converterScript runs llama.cpp's converter, told which pre-tokenizer the tiny vocabulary has.
const converterScript = `
import os, runpy, sys
sys.argv = sys.argv[1:]
folder = os.path.dirname(sys.argv[0])
sys.path[:0] = [folder, os.path.join(folder, "gguf-py")]
import conversion.base as base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-4o"
runpy.run_path(sys.argv[0], run_name="__main__")
`

// converterTime is how long llama.cpp's converter takes from start to end, without a sync; 0 when
// it is not installed.
func converterTime(b *testing.B, in string) time.Duration {
	llama, venv := os.Getenv("SO8T_TEST_LLAMACPP"), os.Getenv("SO8T_TEST_TRANSFORMERS_VENV")
	if llama == "" || venv == "" {
		return 0
	}
	out := filepath.Join(b.TempDir(), "theirs.gguf")
	begin := time.Now()
	said, err := exec.Command(filepath.Join(venv, "bin", "python"), "-c", converterScript, filepath.Join(llama, "../convert/convert_hf_to_gguf.py"), "--outtype", "f16", "--outfile", out, in).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, said)
	}
	return time.Since(begin)
}

func copyFile(to *os.File, path string, n int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(to, f, n); err != nil {
		return err
	}
	return to.Sync()
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
