package dataset

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/so8t/so8t/stages/internal/chat"
)

// labelNames are the spellings of each label, after width, case and outer space are folded.
var labelNames = map[string]string{
	"allow": Allow, "許可": Allow, "応答可": Allow,
	"escalation": Escalation, "escalate": Escalation, "エスカレーション": Escalation, "要確認": Escalation, "上申": Escalation,
	"deny": Deny, "refuse": Deny, "拒否": Deny, "応答不可": Deny,
}

var domainNames = map[string]string{
	"defense": "defense", "defence": "defense", "防衛": "defense",
	"aerospace": "aerospace", "航空宇宙": "aerospace",
	"transport": "transport", "運輸": "transport", "輸送": "transport", "交通": "transport",
	"general": "general", "一般": "general",
}

// canonical judges a draft and gives it the one form that all formats share.
func (d *draft) canonical(o Options) (*Imported, *problem) {
	for _, text := range d.texts() {
		if p := checkText(text); p != nil {
			return nil, p
		}
	}
	if p := d.checkRoles(); p != nil {
		return nil, p
	}
	r := &Imported{Format: d.format}
	chars := 0
	for _, t := range d.turns {
		text := canonicalText(t.text)
		switch {
		case text == "" && t.role == "user":
			return nil, wrong(EmptyPrompt, "the user's text is empty")
		case text == "" && t.role == "assistant":
			return nil, wrong(EmptyOutput, "the answer is empty")
		}
		chars += utf8.RuneCountInString(text)
		r.Messages = append(r.Messages, chat.Message{Role: t.role, Content: text})
	}
	label, p := d.label(r.Messages)
	if p == nil && label == "" && o.LabelsRequired {
		p = wrong(MissingLabel, "the row has no label")
	}
	if p != nil {
		return nil, p
	}
	if chars > o.MaxChars {
		return nil, wrong(TooLong, "%d characters, at most %d are accepted (max_chars)", chars, o.MaxChars)
	}
	r.Label, r.Reason, r.Template = label, canonicalText(d.reason), strings.TrimSpace(d.group)
	r.Domain = canonicalText(d.domain)
	if known, ok := domainNames[foldWord(r.Domain)]; ok {
		r.Domain = known
	}
	return r, nil
}

func (d *draft) texts() []string {
	out := []string{d.reason, d.domain}
	for _, t := range d.turns {
		out = append(out, t.text)
	}
	return out
}

func checkText(text string) *problem {
	for _, r := range text {
		switch {
		case r == utf8.RuneError:
			return wrong(BadText, "the text holds U+FFFD or half a surrogate pair: it was damaged by a conversion")
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			return wrong(BadText, "the text holds the control character %U", r)
		}
	}
	for _, c := range chat.ControlTokens {
		if strings.Contains(text, c) {
			return wrong(SpecialToken, "the text holds %s, a token of the chat format", c)
		}
	}
	return nil
}

// checkRoles: at most one system message, first; then user and assistant in turn, ending
// with the assistant (a row whose answer is only its label ends with the user).
func (d *draft) checkRoles() *problem {
	turns := d.turns
	if len(turns) > 0 && turns[0].role == "system" {
		turns = turns[1:]
	}
	for i, t := range turns {
		want := []string{"user", "assistant"}[i%2]
		if t.role != want {
			return wrong(BadRoles, "message %d is of %q, %s is expected", i+1, strings.TrimPrefix(t.role, "?"), want)
		}
	}
	if len(turns) == 0 || len(turns)%2 == 1 && d.format != "text" {
		return wrong(BadRoles, "the conversation does not end with an answer of the assistant")
	}
	return nil
}

// canonicalText is NFC with LF line ends and no outer white space.
func canonicalText(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(norm.NFC.String(s))
	return trim(s)
}

func trim(s string) string { return strings.TrimFunc(s, unicode.IsSpace) }

func foldWord(s string) string { return cases.Fold().String(trim(norm.NFKC.String(s))) }

// label of a row: of its fields and of the answer's first line, which must agree.
func (d *draft) label(messages []chat.Message) (string, *problem) {
	written := slices.Clone(d.labels)
	if last := messages[len(messages)-1]; last.Role == "assistant" {
		if s, ok := statedLabel(last.Content); ok {
			written = append(written, s)
		}
	}
	found := ""
	for _, w := range written {
		word := foldWord(w)
		label, known := labelNames[word]
		switch {
		case word == "":
			return "", wrong(MissingLabel, "the label is empty")
		case !known:
			return "", wrong(UnknownLabel, "label %q is none of %s%s", w, strings.Join(Labels, " "), didYouMean(word))
		case found != "" && found != label:
			return "", wrong(LabelConflict, "the row says both %s and %s", found, label)
		}
		found = label
	}
	return found, nil
}

// statedLabel reads a first line "判定: X".
func statedLabel(answer string) (string, bool) {
	line, _, _ := strings.Cut(answer, "\n")
	rest, ok := strings.CutPrefix(line, "判定")
	if !ok {
		return "", false
	}
	for _, colon := range []string{":", "："} {
		if s, ok := strings.CutPrefix(trim(rest), colon); ok {
			return s, true
		}
	}
	return "", false
}

// didYouMean suggests a label at most two edits away.
func didYouMean(word string) string {
	best, most := "", 3
	for _, l := range Labels {
		if n := edits(word, strings.ToLower(l)); n < most {
			best, most = l, n
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// edits is the Levenshtein distance in characters.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}

// Targeted returns the row as training wants it: the answer of a labelled row begins with
// its judgement and, when there is one, its reason.
func (r Imported) Targeted() Row {
	out := r.Row
	if out.Label == "" {
		return out
	}
	prompt, answer := r.Prompt(), ""
	if n := len(r.Messages); n > len(prompt) {
		answer = r.Messages[n-1].Content
	}
	text := FirstLine(out.Label)
	if out.Reason != "" {
		text = Target(out.Label, out.Reason)
	}
	if _, stated := statedLabel(answer); stated {
		_, rest, _ := strings.Cut(answer, "\n")
		answer = trim(rest)
		text = FirstLine(out.Label)
	}
	if answer != "" {
		text = strings.TrimSuffix(text, "\n") + "\n" + answer
	}
	out.Messages = append(slices.Clone(prompt), chat.Message{Role: "assistant", Content: trim(text) + closing(text)})
	return out
}

// closing keeps the line end of a target that is nothing but its first line: it belongs to
// what a label's score is summed over.
func closing(text string) string {
	if strings.HasSuffix(text, "\n") {
		return "\n"
	}
	return ""
}
