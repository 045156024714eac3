package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// maxNamed bounds a file that `run` names, in bytes: it is read for every plan.
const maxNamed = 16 << 20

// named lists the files below base that `run` names, each once: the script of
// `python3 train.py --lr 0.1`. They make the result, so they are part of its fingerprint. Outputs
// and what the shell writes to (> log) are not; neither are paths that lead out of base.
func (c Config) named(base string) []string {
	var found []string
	for _, word := range c.candidates() {
		p := clean(word)
		if !fs.ValidPath(p) || p == "." || c.isOutput(p) || slices.Contains(found, p) {
			continue
		}
		if info, err := os.Stat(filepath.Join(base, filepath.FromSlash(p))); err == nil && info.Mode().IsRegular() {
			found = append(found, p)
		}
	}
	return found
}

// candidates are the words that may name a file.
func (c Config) candidates() []string {
	var out []string
	text, isText := c.Run.(string)
	if !isText {
		words, err := c.words()
		if err != nil {
			return nil
		}
		for _, word := range words {
			out = append(out, word)
			if _, value, found := strings.Cut(word, "="); found { // --config=train.yaml
				out = append(out, value)
			}
		}
		return out
	}
	for i, part := range strings.Split(text, ">") {
		words := strings.FieldsFunc(part, func(r rune) bool { return strings.ContainsRune(" \t\r\n;|&<()\"'`=", r) })
		if i > 0 && len(words) > 0 {
			words = words[1:] // written, not read
		}
		out = append(out, words...)
	}
	return out
}

func (c Config) isOutput(p string) bool {
	for _, o := range c.Outputs {
		if o = clean(o); p == o || strings.HasPrefix(p, o+"/") {
			return true
		}
	}
	return false
}

// namedFacts are the digests of the named files that are not inputs anyway, and the platform. There is
// always one: the engine does not ask a stage that stated none before it reuses its work, and a file
// that was not there may be there by now.
func (c Config) namedFacts(base string) (map[string]string, error) {
	facts := map[string]string{"platform": runtime.GOOS + "/" + runtime.GOARCH}
	for _, p := range c.named(base) {
		full := filepath.Join(base, filepath.FromSlash(p))
		if c.isInput(full) {
			continue
		}
		info, err := os.Stat(full)
		if err != nil {
			return nil, err
		}
		if info.Size() > maxNamed {
			return nil, plugins.Errorf(plugins.BadInput, "run names %q, which is too large to be read for every plan: name it in inputs", p)
		}
		content, err := os.ReadFile(full)
		if err != nil {
			return nil, fmt.Errorf("reading a file that run names: %w", err)
		}
		sum := sha256.Sum256(content)
		facts[p] = "sha256:" + hex.EncodeToString(sum[:])
	}
	return facts, nil
}

func (c Config) isInput(full string) bool {
	for _, input := range c.Inputs {
		if all, _ := paths(input); slices.Contains(all, full) {
			return true
		}
	}
	return false
}

// link makes the named files be there in the working folder, under the names that run calls them
// by. A link, so that a script finds the modules beside it; a copy where there are no links.
func (c Config) link(ctx context.Context, base, dir string) error {
	for _, p := range c.named(base) {
		from, to := filepath.Join(base, filepath.FromSlash(p)), filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		if os.Symlink(from, to) == nil {
			continue
		}
		if err := plugins.CopyFile(ctx, from, to, nil); err != nil {
			return err
		}
	}
	return nil
}
