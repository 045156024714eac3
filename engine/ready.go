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

func (h *readyHeap) first() readyItem { return h.items[0] }

// readyLanes holds what could start, apart by what it asks for: of one lane either the first fits, or
// none does. Looking through thousands that wait for the same slot would take a time that grows with
// the square of their number.
type readyLanes map[demand]*readyHeap

// demand is what a node asks for. stage is "" when any number of its instances may run.
type demand struct {
	stage    string
	cpu, gpu int
	memory   int64
	slots    string
}

func (l readyLanes) push(d demand, i readyItem) {
	if l[d] == nil {
		l[d] = &readyHeap{}
	}
	l[d].push(i)
}

// pop takes the first of those that fit; false when none does.
func (l readyLanes) pop(fits func(index int) bool) (first readyItem, found bool) {
	first, from, found := l.find(fits)
	if found {
		l[from].pop()
		if l[from].len() == 0 {
			delete(l, from)
		}
	}
	return first, found
}

// first is what pop would take.
func (l readyLanes) first(fits func(index int) bool) (first readyItem, found bool) {
	first, _, found = l.find(fits)
	return first, found
}

func (l readyLanes) find(fits func(index int) bool) (first readyItem, from demand, found bool) {
	for d, h := range l {
		if i := h.first(); (!found || i.before(first)) && fits(i.index) {
			first, from, found = i, d, true
		}
	}
	return first, from, found
}

func (i readyItem) before(j readyItem) bool {
	if i.priority != j.priority {
		return i.priority > j.priority
	}
	return i.index < j.index
}

type readyItems []readyItem

func (r readyItems) Len() int           { return len(r) }
func (r readyItems) Less(i, j int) bool { return r[i].before(r[j]) }
func (r readyItems) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *readyItems) Push(x any)        { *r = append(*r, x.(readyItem)) }
func (r *readyItems) Pop() any {
	old := *r
	last := old[len(old)-1]
	*r = old[:len(old)-1]
	return last
}
