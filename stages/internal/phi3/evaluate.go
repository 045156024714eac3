package phi3

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
)

// logitBytes bounds the logits that exist at once in EachLogits: with 200,064 tokens in
// the vocabulary, 512 positions would take 400 MB.
const logitBytes = 64 << 20

// EachLogits runs one sequence and hands out the logits at positions from … to-1 in
// order, a few rows at a time: use is called with the first row's position and the rows
// [n, V], which it must not keep.
func (r *Runner) EachLogits(tokens []int32, from, to int, use func(position int, rows []float32) error) error {
	if from < 0 || to > len(tokens) || from > to {
		return fmt.Errorf("running the model: positions %d to %d of %d tokens", from, to, len(tokens))
	}
	defer r.scope.End()
	h, _, err := r.states([][]int32{tokens})
	if err != nil {
		return err
	}
	V, C := r.Config.Vocab, r.Config.Hidden
	step := min(max(1, logitBytes/(4*V)), max(1, to-from))
	out, host := r.scope.Alloc(step*V), make([]float32, step*V)
	for at := from; at < to; at += step {
		n := min(step, to-at)
		rows := r.be.View(out, 0, n*V)
		r.be.Linear(rows, r.be.View(h, at*C, n*C), r.base.head, n, 0)
		r.be.Download(host[:n*V], rows)
		if err := r.be.Err(); err != nil {
			return err
		}
		if err := use(at, host[:n*V]); err != nil {
			return err
		}
	}
	return nil
}

// NLL returns -log p of every target of a packed batch, in nats, 0 where there is none.
// [T]
func (r *Runner) NLL(b Batch) ([]float64, error) {
	if len(b.Targets) != len(b.Tokens) || b.Packing.Rows != len(b.Tokens) {
		return nil, fmt.Errorf("running the model: %d tokens, %d targets, %d packed rows", len(b.Tokens), len(b.Targets), b.Packing.Rows)
	}
	if err := r.checkTokens(b.Tokens); err != nil {
		return nil, err
	}
	defer r.scope.End()
	att, err := r.packedAttention(b.Packing)
	if err != nil {
		return nil, err
	}
	h := r.forward(b.Tokens, att)
	return r.nll(h, b.Targets), r.be.Err()
}

// nll is -log p of one target per row of states.
func (r *Runner) nll(h backend.Buffer, targets []int32) []float64 {
	out := r.scope.Alloc(len(targets))
	r.be.CrossEntropy(backend.CrossEntropyArgs{Loss: r.scope.Alloc(1), NLL: out, H: h, W: r.base.head, Targets: r.scope.AllocInts(targets), Scale: 1})
	host := make([]float64, len(targets))
	r.be.Download64(host, out)
	return host
}
