package workflow

import "strings"

// inline walks over a line from col on. fresh tells that a token may start there; otherwise col
// lies inside a plain scalar.
func (s *scanner) inline(n int, line []rune, col int, fresh bool) bool {
	s.plain = noPlain
	spaced := true
	for col < len(line) {
		c := line[col]
		if s.quote != 0 {
			col = s.skipQuoted(line, col)
			fresh, spaced = false, false
			continue
		}
		if c == ' ' || c == '\t' {
			spaced = true
			col++
			continue
		}
		if c == '#' && spaced {
			return true
		}
		spaced = false
		var ok bool
		switch {
		case len(s.flow) > 0 && strings.ContainsRune(",]}", c):
			if ok = s.flowMark(n, col, c); !ok {
				return false
			}
			s.count(1)
			fresh = c == ','
			col++
		case (fresh || len(s.flow) > 0) && (c == '{' || c == '['):
			if len(s.flow) == 0 {
				s.flowItems = 0
			}
			if s.flow = append(s.flow, flow{bracket: c}); len(s.flow)+len(s.blocks) > scanDepth {
				return s.tooDeep(n, col)
			}
			fresh = true
			col++
		case fresh && (c == '"' || c == '\''):
			s.quote = c
			col++
		case fresh && (c == '&' || c == '*' || c == '!'):
			col = s.skipProperty(line, col)
		case fresh && len(s.flow) == 0 && (c == '|' || c == '>') && s.textHeader(line[col+1:]):
			return true
		case fresh && strings.ContainsRune(",]}", c):
			return s.refuse(n, col, CodeYAMLSyntax, "quote the text", "a plain text cannot start with "+string(c))
		case c == ':' && (isBlankAt(line, col+1) || len(s.flow) > 0 && endsKey(line, col)):
			fresh = true
			col++
			s.count(min(len(s.flow), 1))
		case c == '?' && fresh && isBlankAt(line, col+1):
			col++
		default:
			fresh = false
			col++
		}
	}
	if s.quote == 0 && len(s.flow) == 0 && !fresh {
		s.plain = s.parent
	}
	return true
}

// endsKey tells whether the colon at col, inside a flow collection, ends a key though no blank follows.
func endsKey(line []rune, col int) bool {
	if strings.ContainsRune(",[]{}", line[col+1]) {
		return true
	}
	return col > 0 && strings.ContainsRune(`"'}]`, line[col-1])
}

func (s *scanner) flowMark(n, col int, c rune) bool {
	top := &s.flow[len(s.flow)-1]
	if c != ',' {
		if opened := top.bracket; (opened == '{') != (c == '}') {
			return s.refuse(n, col, CodeYAMLSyntax, "", string(opened)+" is closed by "+string(c))
		}
		s.flow = s.flow[:len(s.flow)-1]
		return true
	}
	top.commas++
	if s.flowItems++; s.flowItems > maxFlowItems {
		return s.refuse(n, col, CodeTooLarge, "write the outer levels without brackets, one entry a line", "over 30000 items inside one pair of brackets")
	}
	switch {
	case top.commas <= maxEntries:
	case top.bracket == '{':
		return s.tooMany(n, col)
	default: // the parser is quadratic in these too, in block lists it is not
		return s.refuse(n, col, CodeTooLarge, "write one - a line instead of brackets", "a list of over 20000 items in brackets")
	}
	return true
}

// skipQuoted goes on inside a quoted text and gives the column after its end, or the line's end.
func (s *scanner) skipQuoted(line []rune, col int) int {
	for col < len(line) {
		switch c := line[col]; {
		case c == '\\' && s.quote == '"':
			col++
		case c == s.quote && c == '\'' && col+1 < len(line) && line[col+1] == '\'':
			col++
		case c == s.quote:
			s.quote = 0
			return col + 1
		}
		col++
	}
	return len(line)
}

func (s *scanner) skipProperty(line []rune, col int) int {
	for col < len(line) && line[col] != ' ' && line[col] != '\t' {
		if len(s.flow) > 0 && strings.ContainsRune(",[]{}", line[col]) {
			break
		}
		col++
	}
	return col
}

// textHeader tells whether rest, after a | or >, is the rest of a block text's header, and opens
// that text.
func (s *scanner) textHeader(rest []rune) bool {
	explicit := 0
	for len(rest) > 0 && strings.ContainsRune("+-0123456789", rest[0]) {
		if d := rest[0]; d >= '1' && d <= '9' {
			explicit = int(d - '0')
		}
		rest = rest[1:]
	}
	tail := strings.TrimLeft(string(rest), " \t")
	if tail != "" && (tail[0] != '#' || len(tail) == len(string(rest))) {
		return false
	}
	s.textIndent = -1
	if explicit > 0 {
		s.textIndent = max(s.parent, 0) + explicit
	}
	return true
}

// hasKey tells whether the text, outside quotes and flow collections, holds a key's colon.
func hasKey(text []rune) bool {
	var quote rune
	depth := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && (i == 0 || depth > 0):
			quote = c
		case (c == '{' || c == '[') && (i == 0 || depth > 0):
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case c == '#' && i > 0 && isBlankAt(text, i-1):
			return false
		case c == ':' && depth == 0 && isBlankAt(text, i+1):
			return true
		}
	}
	return false
}
