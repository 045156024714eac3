package engine

import "container/heap"

// readyHeap holds what could start: the higher priority first, then the order of the plan.
type readyHeap struct{ items readyItems }

type readyItem struct {
	priority int
	index    int
}

func (h *readyHeap) push(i readyItem) { heap.Push(&h.items, i) }
func (h *readyHeap) pop() readyItem   { return heap.Pop(&h.items).(readyItem) }
func (h *readyHeap) len() int         { return len(h.items) }

type readyItems []readyItem

func (r readyItems) Len() int { return len(r) }
func (r readyItems) Less(i, j int) bool {
	if r[i].priority != r[j].priority {
		return r[i].priority > r[j].priority
	}
	return r[i].index < r[j].index
}
func (r readyItems) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *readyItems) Push(x any)   { *r = append(*r, x.(readyItem)) }
func (r *readyItems) Pop() any {
	old := *r
	last := old[len(old)-1]
	*r = old[:len(old)-1]
	return last
}
