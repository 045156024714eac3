package loop

import (
	"math"
	"testing"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// student is a frozen linear layer with a gate behind it, taught by the same layer with a
// planted rotation: the loss is half the squared distance of their outputs.
type student struct {
	be             backend.Backend
	w              backend.Weight
	theta, planted tensor.Param
}

const studentWidth = 32

func (s *student) Groups() []Group {
	return []Group{{Name: "gate", Params: tensor.Params{s.theta}, LRScale: 10, Clip: ClipGate}}
}

func (s *student) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	n := len(p.Batch.Tokens)
	values := make([]float32, 0, n*studentWidth)
	for _, id := range p.Batch.Tokens {
		values = append(values, toyFloats(uint64(id), studentWidth, 1)...)
	}
	x := tensor.New(s.be, sc, n, studentWidth)
	s.be.Upload(x.Buffer(), values)
	frozen := func() mat.Tensor { return ops.Linear(x, ops.Frozen(s.w), nil, s.be.Pack(p.Batch.Packing)) }
	d := &distance{want: tensor.Of(ops.Gate(frozen(), s.planted)), got: ops.Gate(frozen(), s.theta), scale: p.CEScale}
	return ag.NewOperator(d).Run(), nil, s.be.Err()
}

// distance is scale/2·|got - want|², a 1×1 tensor; want is a constant.
type distance struct {
	want  *tensor.Tensor
	got   mat.Tensor
	scale float64
	diff  *tensor.Tensor
}

func (d *distance) Operands() []mat.Tensor { return []mat.Tensor{d.got} }

func (d *distance) Forward() (mat.Tensor, error) {
	got := tensor.Of(d.got)
	be := got.Backend()
	d.diff = got.Like(got.Rows(), got.Cols())
	be.Axpby(d.diff.Buffer(), 1, got.Buffer(), -1, d.want.Buffer())
	y := got.Like(1, 1)
	be.Fill(y.Buffer(), 0)
	be.SumSquares(y.Buffer(), d.diff.Buffer())
	be.Axpby(y.Buffer(), d.scale/2, y.Buffer(), 0, nil)
	return y, nil
}

func (d *distance) Backward(gy mat.Tensor) error {
	be := d.diff.Backend()
	be.Axpby(d.diff.Buffer(), d.scale, d.diff.Buffer(), 0, nil)
	be.ScaleBy(d.diff.Buffer(), d.diff.Buffer(), tensor.Of(gy).Buffer(), 0)
	d.got.AccGrad(d.diff)
	return nil
}

// A gate behind a frozen projection finds a rotation that was planted there, all 28 angles of
// every block of it, with the rate, the scale and the clipping that training has.
func TestGate_RecoversAPlantedRotation(t *testing.T) {
	be, err := cpu.Open(cpu.Options{Threads: 2, BLAS: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close() })
	s := &student{be: be, w: be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: studentWidth, Cols: studentWidth,
		F32: toyFloats(1, studentWidth*studentWidth, 0.5)})}
	const blocks = studentWidth / so8t.Block
	truth := toyFloats(2, blocks*so8t.Params, 0.4)
	s.planted = tensor.NewParam(be, "planted", blocks, so8t.Params, truth)
	s.planted.Tensor().SetRequiresGrad(false)
	s.theta = tensor.NewParam(be, "theta", blocks, so8t.Params, nil)

	r := toyRun(t, nil, be, 400)
	r.Model, r.Validation = s, nil
	r.Settings.Schedule = Schedule{Kind: "cosine", Peak: 2e-3, Warmup: 40, Steps: 400}
	r.Settings.PET = so8t.Schedule{Boundaries: [2]float64{0.3, 0.7}}
	if _, err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := make([]float32, len(truth))
	be.Download(found, s.theta.Tensor().Buffer())
	want, got := so8t.Rotations(truth), so8t.Rotations(found)
	worst := 0.0
	for i := range want {
		for k := range want[i] {
			worst = max(worst, math.Abs(want[i][k]-got[i][k]))
		}
	}
	t.Logf("largest difference of an entry of R: %.2g", worst)
	if !(worst < 1e-3) {
		t.Errorf("R is off by %g", worst)
	}
}
