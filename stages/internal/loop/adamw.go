package loop

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/nlpodyssey/spago/nn"
	"github.com/nlpodyssey/spago/optimizers"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Group is a set of parameters with settings of their own.
type Group struct {
	Name   string
	Params tensor.Params
	// LRScale is a factor on the schedule's rate.
	LRScale float64
	// Decay is AdamW's decoupled weight decay.
	Decay float64
	// Clip names what the group's gradient norm is taken over: groups with the same Clip
	// share one norm and one factor.
	Clip string
}

// AdamW are the optimiser's constants.
type AdamW struct {
	Beta1, Beta2, Eps float64
	// MaxNorm limits the gradient norm of each clipping group; 0 does not.
	MaxNorm float64
}

// DefaultAdamW is PyTorch's, with the usual clipping.
var DefaultAdamW = AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, MaxNorm: 1}

// moments are a parameter's optimiser state: nn.Param.State.
type moments struct {
	m, v  backend.Buffer
	group int
}

// optimizer drives spago's optimiser loop over groups of parameters.
type optimizer struct {
	be       backend.Backend
	settings AdamW
	groups   []Group
	params   tensor.Params // of all groups, in order
	square   backend.Buffer
}

func newOptimizer(be backend.Backend, s AdamW, groups []Group) (*optimizer, error) {
	o := &optimizer{be: be, settings: s, groups: groups, square: be.NewBuffer(1)}
	seen := map[string]bool{}
	for i, g := range groups {
		for _, p := range g.Params {
			if seen[p.Name] {
				return nil, fmt.Errorf("parameter %q is in two groups", p.Name)
			}
			seen[p.Name] = true
			n := p.Tensor().Size()
			p.State = &moments{m: be.NewBuffer(n), v: be.NewBuffer(n), group: i}
			o.params = append(o.params, p)
		}
	}
	if len(o.params) == 0 {
		return nil, fmt.Errorf("there is no parameter to train")
	}
	return o, nil
}

func (o *optimizer) release() {
	for _, p := range o.params {
		st := p.State.(*moments)
		o.be.Release(st.m)
		o.be.Release(st.v)
		p.State = nil
	}
	o.be.Release(o.square)
}

// norms are the gradient norms of a window, before clipping.
type norms struct {
	all    float64
	byClip map[string]float64
}

// norms sums in the order of the parameters, so that the bits repeat.
func (o *optimizer) norms() norms {
	out := norms{byClip: map[string]float64{}}
	total := 0.0
	for _, g := range o.groups {
		square := 0.0
		for _, p := range g.Params.WithGrad() {
			square += o.sumSquares(p.GradBuffer())
		}
		out.byClip[g.Clip] += square
		total += square
	}
	for k, v := range out.byClip {
		out.byClip[k] = math.Sqrt(v)
	}
	out.all = math.Sqrt(total)
	return out
}

func (o *optimizer) sumSquares(b backend.Buffer) float64 {
	var h [1]float64
	o.be.Fill(o.square, 0)
	o.be.SumSquares(o.square, b)
	o.be.Download64(h[:], o.square)
	return h[0]
}

// factor is what the gradients of a clipping group are multiplied with.
func (o *optimizer) factor(norm float64) float64 {
	if o.settings.MaxNorm <= 0 {
		return 1
	}
	return min(1, o.settings.MaxNorm/(norm+1e-6)) // 1e-6: torch.nn.utils.clip_grad_norm_
}

// step applies one update with the rate to every parameter that has a gradient, and forgets
// the gradients. number counts from 1. It returns when all updates are done.
func (o *optimizer) step(number int64, rate float64, n norms) error {
	s := &strategy{optimizer: o, number: int(number), rate: rate, norms: n}
	ps := o.params.WithGrad()
	s.pending.Add(len(ps))
	if err := optimizers.New(ps.Stream, s).Optimize(); err != nil {
		return err
	}
	s.pending.Wait()
	if e := s.err.Load(); e != nil {
		return *e
	}
	o.params.ZeroGrad()
	return nil
}

// strategy is AdamW as spago's optimiser calls it. It is also a barrier, because spago's
// Optimize returns before the updates that it started are finished, and it keeps an error
// to itself, because a late one makes Optimize panic.
type strategy struct {
	*optimizer
	number int
	rate   float64
	norms  norms

	pending sync.WaitGroup
	err     atomic.Pointer[error]
}

var _ optimizers.OptimizationStrategy = (*strategy)(nil)

// OptimizeParams updates one parameter.
func (s *strategy) OptimizeParams(p *nn.Param) error {
	defer s.pending.Done()
	st, ok := p.State.(*moments)
	if !ok {
		err := fmt.Errorf("optimising: a parameter has no moments")
		s.err.Store(&err)
		return nil
	}
	g := s.groups[st.group]
	s.be.AdamW(backend.AdamWArgs{
		P: tensor.Of(p).Buffer(), G: tensor.Of(p.Grad()).Buffer(), M: st.m, V: st.v,
		LR: s.rate * g.LRScale, Beta1: s.settings.Beta1, Beta2: s.settings.Beta2, Eps: s.settings.Eps,
		Decay: g.Decay, Step: s.number, GradScale: s.factor(s.norms.byClip[g.Clip]),
	})
	return nil
}
