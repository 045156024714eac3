package modeltool

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

var tokenize = command{
	name: "tokenize", usage: "PATH [--text T | --file F | --batch] [--special] [--json]", operands: 1,
	help: "token ids of a text, by the tokenizer of a folder, tokenizer.json or GGUF file",
	define: func(f *flags) func(context.Context, []string, streams) error {
		text := f.String("text", "", "the `text`")
		file := f.String("file", "", "read the text from a `file`, or - for standard input")
		batch := f.Bool("batch", false, "read one JSON string a line from standard input, write one array of ids a line")
		special := f.Bool("special", false, "recognise control tokens such as <|end|>; without it they are ordinary text")
		asJSON := f.Bool("json", false, "one JSON array")
		return func(ctx context.Context, operands []string, s streams) error {
			if n := count(f.given("text"), f.given("file"), *batch); n != 1 {
				return usagef("one of --text, --file and --batch is needed, %d are given", n)
			}
			t, err := openTokenizer(operands[0])
			if err != nil {
				return badInput(err)
			}
			encode := t.Encode
			if *special {
				encode = t.EncodeSpecial
			}
			if *batch {
				return tokenizeBatch(ctx, encode, s)
			}
			input := *text
			if f.given("file") {
				if input, err = readText(*file, s.in); err != nil {
					return err
				}
			}
			return writeIDs(s.out, encode(input), *asJSON)
		}
	},
}

// openTokenizer needs only the tokenizer: a folder without weights will do.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the tokenizer: %w", err)
	}
	if info.IsDir() || filepath.Ext(path) == ".json" {
		return tokenizer.Open(path)
	}
	m, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer discard(m)
	return m.Template.Tokenizer(), nil
}

func tokenizeBatch(ctx context.Context, encode func(string) []int32, s streams) error {
	in, out := bufio.NewReader(s.in), bufio.NewWriter(s.out)
	last := false
	for n := 1; !last; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := in.ReadBytes('\n')
		last = errors.Is(err, io.EOF)
		if err != nil && !last {
			return fmt.Errorf("reading line %d: %w", n, err)
		}
		if len(strings.TrimSpace(string(line))) > 0 {
			var text *string
			if err := json.Unmarshal(line, &text); err != nil || text == nil {
				return badInputf("line %d: want one JSON string", n)
			}
			if err := writeIDs(out, encode(*text), true); err != nil {
				return err
			}
		}
		if last || in.Buffered() == 0 { // whoever waits for the answer gets it
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeIDs writes one line.
func writeIDs(out io.Writer, ids []int32, asJSON bool) error {
	line := make([]byte, 0, 6*len(ids)+3)
	separator := " "
	if asJSON {
		separator = ","
		line = append(line, '[')
	}
	for i, id := range ids {
		if i > 0 {
			line = append(line, separator...)
		}
		line = strconv.AppendInt(line, int64(id), 10)
	}
	if asJSON {
		line = append(line, ']')
	}
	_, err := out.Write(append(line, '\n'))
	return err
}

// readText reads a file whole, or standard input when it is called "-".
func readText(path string, in io.Reader) (string, error) {
	if path == "-" {
		b, err := io.ReadAll(in)
		if err != nil {
			return "", fmt.Errorf("reading standard input: %w", err)
		}
		return string(b), nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", badInput(fmt.Errorf("reading the text: %w", err))
	}
	return string(b), nil
}

func count(claims ...bool) int {
	n := 0
	for _, c := range claims {
		if c {
			n++
		}
	}
	return n
}
