package console

import (
	"slices"
	"sort"
)

// layered is a graph in columns, every edge from one column to the next: an edge that spans
// several has bends in those between.
type layered struct {
	points  []point
	columns [][]int // points from top to bottom
	routes  [][]int // for each edge its points, from its stage to the one that needs it
}

// point is a node or a bend.
type point struct {
	node   int // -1 for a bend
	column int
	left   []int // points that it is joined with in the column before
	right  []int
	height float64
	y      float64 // middle
}

// sweeps is how often the columns are put in the order of their neighbours, and later moved
// towards them. More change little.
const sweeps = 12

// layer gives every node the column after the last that it needs, and the columns an order in
// which edges cross little and run straight.
func layer(g Graph, nodeHeight, bendHeight float64) layered {
	l := layered{}
	at := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		column := 0
		for _, need := range n.Needs {
			if j, ok := at[need]; ok {
				column = max(column, l.points[j].column+1)
			}
		}
		at[n.ID] = l.add(i, column, nodeHeight)
	}
	for _, n := range g.Nodes {
		for _, need := range n.Needs {
			if from, ok := at[need]; ok {
				l.route(from, at[n.ID], bendHeight)
			}
		}
	}
	for i := range sweeps {
		l.order(i%2 == 0)
	}
	l.place()
	return l
}

func (l *layered) add(node, column int, height float64) int {
	for len(l.columns) <= column {
		l.columns = append(l.columns, nil)
	}
	l.points = append(l.points, point{node: node, column: column, height: height})
	l.columns[column] = append(l.columns[column], len(l.points)-1)
	return len(l.points) - 1
}

func (l *layered) route(from, to int, bendHeight float64) {
	route := []int{from}
	for column := l.points[from].column + 1; column < l.points[to].column; column++ {
		route = append(route, l.add(-1, column, bendHeight))
	}
	route = append(route, to)
	for i := 1; i < len(route); i++ {
		a, b := route[i-1], route[i]
		l.points[a].right = append(l.points[a].right, b)
		l.points[b].left = append(l.points[b].left, a)
	}
	l.routes = append(l.routes, route)
}

// order sorts each column by the mean place of the neighbours on one side.
func (l *layered) order(rightwards bool) {
	rank := make([]float64, len(l.points))
	for _, column := range l.columns {
		for i, p := range column {
			rank[p] = float64(i)
		}
	}
	l.walk(rightwards, func(column []int, side func(point) []int) {
		mean := map[int]float64{}
		for i, p := range column {
			mean[p] = meanOf(side(l.points[p]), func(q int) float64 { return rank[q] }, float64(i))
		}
		sort.SliceStable(column, func(i, j int) bool { return mean[column[i]] < mean[column[j]] })
		for i, p := range column {
			rank[p] = float64(i)
		}
	})
}

// walk goes through the columns from one side, with what gives the neighbours on that side.
func (l *layered) walk(rightwards bool, do func(column []int, side func(point) []int)) {
	columns := slices.Clone(l.columns)
	side := func(p point) []int { return p.left }
	if !rightwards {
		slices.Reverse(columns)
		side = func(p point) []int { return p.right }
	}
	for _, column := range columns {
		do(column, side)
	}
}

func meanOf(points []int, value func(int) float64, otherwise float64) float64 {
	if len(points) == 0 {
		return otherwise
	}
	sum := 0.0
	for _, p := range points {
		sum += value(p)
	}
	return sum / float64(len(points))
}

// place moves every point towards its neighbours as far as those above and below it let it.
func (l *layered) place() {
	for _, column := range l.columns {
		y := 0.0
		for _, p := range column {
			l.points[p].y = y + l.points[p].height/2
			y += l.points[p].height
		}
	}
	for i := range sweeps {
		l.walk(i%2 == 0, func(column []int, side func(point) []int) {
			wanted := make([]float64, len(column))
			for i, p := range column {
				wanted[i] = meanOf(side(l.points[p]), func(q int) float64 { return l.points[q].y }, l.points[p].y)
			}
			l.settle(column, wanted)
		})
	}
	top := 0.0
	for i, p := range l.points {
		if y := p.y - p.height/2; i == 0 || y < top {
			top = y
		}
	}
	for i := range l.points {
		l.points[i].y -= top
	}
}

// settle gives a column the places nearest to the wanted ones, by least squares, in which nothing
// overlaps: points that want the same place share the distance (pool adjacent violators).
func (l *layered) settle(column []int, wanted []float64) {
	type block struct {
		sum   float64
		count int
	}
	var blocks []block
	offset, before := 0.0, 0.0
	offsets := make([]float64, len(column))
	for i, p := range column {
		if i > 0 {
			offset += (before + l.points[p].height) / 2
		}
		before, offsets[i] = l.points[p].height, offset
		blocks = append(blocks, block{wanted[i] - offset, 1})
		for n := len(blocks); n > 1 && blocks[n-1].sum/float64(blocks[n-1].count) < blocks[n-2].sum/float64(blocks[n-2].count); n-- {
			blocks[n-2].sum += blocks[n-1].sum
			blocks[n-2].count += blocks[n-1].count
			blocks = blocks[:n-1]
		}
	}
	i := 0
	for _, b := range blocks {
		for range b.count {
			l.points[column[i]].y = b.sum/float64(b.count) + offsets[i]
			i++
		}
	}
}
