package divergence

import (
	"math"
	"runtime"
	"sync"
)

// positions are the places at which predictions are compared, of all sequences one after the
// other.
type positions []position

// position collects what the logits of one place come to, which arrive a part of the vocabulary at
// a time. Sums are relative to the highest logit so far and follow it when it rises.
type position struct {
	target   int // the next token; -1 = there is none
	p, q     softmax
	cross    float64 // Σ exp(p − p.high)·(p − q)
	maxLogit float64 // the largest |p − q|
}

// newPositions lists those of each sequence from the given one on.
func newPositions(seqs [][]int32, from int) (list positions) {
	for _, ids := range seqs {
		for at := from; at < len(ids); at++ {
			p := position{target: -1, p: softmax{high: math.Inf(-1)}, q: softmax{high: math.Inf(-1)}}
			if at+1 < len(ids) {
				p.target = int(ids[at+1])
			}
			list = append(list, p)
		}
	}
	return list
}

// add takes the logits of the vocabulary's entries first … first+n-1 of every position.
func (l positions) add(first, n int, logits [][]float32) error {
	workers := min(len(l), runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for row := len(l) * i / workers; row < len(l)*(i+1)/workers; row++ {
				if l[row].target >= 0 {
					l[row].add(first, logits[0][row*n:][:n], logits[1][row*n:][:n])
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (s *position) add(first int, p, q []float32) {
	s.cross *= s.p.raise(first, p, s.target)
	s.q.raise(first, q, s.target)
	for i, v := range p {
		x, y := float64(v), float64(q[i])
		e := math.Exp(x - s.p.high)
		s.p.sum += e
		s.q.sum += math.Exp(y - s.q.high)
		s.cross += e * (x - y)
		s.maxLogit = max(s.maxLogit, math.Abs(x-y))
	}
}

// softmax is what is known of one model's logits at a place.
type softmax struct {
	high, sum float64 // Σ exp(z − high)
	top       int     // the first entry of the highest logit
	target    float64 // logit of the next token
}

// raise looks for a new highest logit, and for the target's, and returns what sums are multiplied
// by to be relative to it.
func (s *softmax) raise(first int, z []float32, target int) float64 {
	if at := target - first; at >= 0 && at < len(z) {
		s.target = float64(z[at])
	}
	before := s.high
	for i, v := range z {
		if float64(v) > s.high {
			s.high, s.top = float64(v), first+i
		}
	}
	if s.high == before {
		return 1
	}
	factor := math.Exp(before - s.high)
	s.sum *= factor
	return factor
}

// log is log Σ exp z.
func (s *softmax) log() float64 { return s.high + math.Log(s.sum) }
