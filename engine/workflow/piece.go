package workflow

import "strings"

// The parser takes quadratic time and hundreds of bytes for each of a file's tokens, all at once. So
// a large file is parsed in pieces: runs of entries of the root, and of the entries of a block mapping
// below it, such as single stages, below the line of its key. The nodes of the pieces are then one tree.

// pieceBytes is about the size of a piece; a file that is smaller is one.
const pieceBytes = 32 << 10

// cut is a line at which a piece may start.
type cut struct {
	line   int
	parent int // the line of the key whose mapping's entry starts here, or 0 for an entry of the root
}

// piece is a part of a file that is parsed by itself.
type piece struct {
	text string
	// before is the number of the file's lines before the piece's first line.
	before int
	// below: the first line is that of a key which an earlier piece has too; the rest are further entries
	// of its mapping.
	below bool
}

// cuts finds where a file can be cut.
type cuts struct {
	at []cut
	// whole: something is in the file that only means what it should in one piece.
	whole bool
	// key is the line of the root's last key when nothing else stands there, col the column of the
	// keys below it: 0 when there are none yet, -1 when they cannot be cut apart.
	key, col int
}

// entry notes that the line, of number n, starts an entry of a block mapping at col that lies in depth
// collections; fresh is true for a mapping's first one. It tells whether a piece may start there.
func (c *cuts) entry(n, col, depth int, line []rune, fresh bool) bool {
	switch line[col] {
	case '<', ':', '&', '*', '!': // merges, anchors and values of complex keys reach over lines
		c.whole = c.whole || depth <= 2
	}
	switch {
	case depth == 1 && col == 0:
		c.key, c.col = 0, 0
		if endsWithKey(line) {
			c.key = n
		}
		c.at = append(c.at, cut{line: n})
		return true
	case depth == 1:
		c.whole = true
	case depth > 2 || c.key == 0:
	case c.col == 0 && fresh:
		c.col = col // it stays with its key
	case c.col != col || fresh:
		c.col = -1
	default:
		c.at = append(c.at, cut{line: n, parent: c.key})
		return true
	}
	return false
}

// item notes an entry of a block list, whose mappings' entries are not those of a key.
func (c *cuts) item(depth int) {
	if depth <= 2 {
		c.col = -1
	}
}

// endsWithKey tells whether a plain key is all that the line holds.
func endsWithKey(line []rune) bool {
	key, rest, ok := strings.Cut(string(line), ":")
	rest = strings.TrimLeft(rest, " \t")
	return ok && key != "" && (rest == "" || rest[0] == '#') && !strings.ContainsAny(key, `"'#&*!|>%@{}[],?`)
}

// pieces cuts the lines into pieces of about size bytes.
func (c *cuts) pieces(lines []string, size int) []piece {
	var out []piece
	start, parent, bytes := 0, 0, 0
	flush := func(end int) {
		p := piece{before: start, below: parent > 0}
		text := lines[start:end]
		if p.below {
			p.text, p.before = lines[parent-1]+"\n", start-1
		}
		p.text += strings.Join(text, "\n")
		if end < len(lines) {
			p.text += "\n"
		}
		out = append(out, p)
	}
	next := 0
	for i, line := range lines {
		if !c.whole && next < len(c.at) && c.at[next].line == i+1 {
			if bytes >= size && next > 0 {
				flush(i)
				start, parent, bytes = i, c.at[next].parent, 0
			}
			next++
		}
		bytes += len(line) + 1
	}
	flush(len(lines))
	return out
}

// join adds the entries of a piece's root to those of the pieces before it. false: they are not what a
// piece should be.
func (p piece) join(root, more *node) bool {
	if root.kind != mappingNode || more.kind != mappingNode {
		return false
	}
	if p.below {
		last, first := root.pairs[len(root.pairs)-1].value, more.pairs[0].value
		if last.kind != mappingNode || first.kind != mappingNode {
			return false
		}
		last.pairs = append(last.pairs, first.pairs...)
		last.count += first.count
		last.depth = max(last.depth, first.depth)
		more.pairs = more.pairs[1:]
	}
	root.pairs = append(root.pairs, more.pairs...)
	root.count += more.count
	root.depth = max(root.depth, more.depth)
	return true
}
