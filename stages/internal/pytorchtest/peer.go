package pytorchtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Peer is a Python script that answers one line of JSON for every line it reads. Its first line, unasked, says that it is ready.
type Peer struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// longestAnswer bounds a line, bytes: the logits of one token and more.
const longestAnswer = 1 << 24

// Start runs a script until the end of the test and reads its first line into ready.
func Start(tb testing.TB, python, script string, ready any, args ...string) *Peer {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context()) // it ends with its input, after the last cleanup
	c := exec.CommandContext(ctx, python, append([]string{script}, args...)...)
	c.Env = append(Environment(), "TRANSFORMERS_VERBOSITY=error", "HF_HUB_OFFLINE=1", "TOKENIZERS_PARALLELISM=false")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &Peer{in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, longestAnswer)
	tb.Cleanup(func() {
		_ = in.Close() // the script ends with its input
		_ = c.Wait()
	})
	if err := p.read(ready); err != nil {
		tb.Fatalf("starting %s: %v", script, err)
	}
	return p
}

// Ask sends a line and reads the answer.
func (p *Peer) Ask(line string, answer any) error {
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return err
	}
	return p.read(answer)
}

func (p *Peer) read(answer any) error {
	if !p.out.Scan() {
		return fmt.Errorf("the script ended: %w", p.out.Err())
	}
	return json.Unmarshal(p.out.Bytes(), answer)
}
