package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Check looks at the parameters, the base, the targets and the dataset.
func (Stage) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	k := &checker{pending: req.Pending}
	c, err := parse(req.With)
	if err != nil {
		k.problem("", plugins.BadInput, err.Error(), "")
		return k.report, nil
	}
	k.settings(c)
	compute.Check(&k.report, c.Backend, c.Threads)
	readable := k.files(&c)
	folder := k.base(c)
	if folder == nil {
		return k.report, nil
	}
	defer folder.Close()
	adapter := k.start(c, folder.Config)
	k.selection(c, adapter, folder.Config)
	var d data
	if readable {
		if d, err = load(ctx, c); err != nil {
			k.bad("dataset", err)
		}
	}
	k.needs(c, adapter, folder.Config, d)
	return k.report, nil
}

type checker struct {
	pending []string
	report  plugins.CheckReport
}

func (k *checker) problem(field string, code plugins.Code, message, hint string) {
	k.report.Problems = append(k.report.Problems, plugins.Problem{Field: field, Code: code, Message: message, Hint: hint})
}

func (k *checker) bad(field string, err error) {
	code := plugins.CodeOf(err)
	if code == plugins.Internal {
		code = plugins.BadInput
	}
	k.problem(field, code, err.Error(), "")
}

// settings are the rules that the schema cannot say.
func (k *checker) settings(c Config) {
	if _, err := c.Checkpoint.Interval(); err != nil {
		k.problem("checkpoint.every", plugins.BadInput, fmt.Sprintf("%v", err), "a duration such as 3m or 500ms")
	}
	if _, err := c.pet(); err != nil {
		k.bad("pet", err)
	}
	if len(c.Lora.Targets) == 0 && c.gated() == "none" {
		k.problem("lora.targets", plugins.BadInput, "there is nothing to train: no LoRA target and no gate", "")
	}
}

// base opens the model; nil when it is not there (yet).
func (k *checker) base(c Config) *phi3.Folder {
	if slices.Contains(k.pending, "base") {
		return nil
	}
	if _, err := os.Stat(c.Base); errors.Is(err, fs.ErrNotExist) {
		k.problem("base", plugins.Unavailable, fmt.Sprintf("model folder %q is not there", c.Base), downloadHint(filepath.Base(c.Base), c.Base))
		return nil
	}
	folder, err := phi3.OpenFolder(c.Base)
	if err != nil {
		k.problem("base", plugins.BadInput, err.Error(), "name a folder with config.json, tokenizer.json and *.safetensors of a Phi-3-architecture model")
		return nil
	}
	// The tokens come with the base; with a dataset that is still to be made, nothing else
	// would look at them before the stage runs.
	template, err := chat.Open(c.Base)
	if err == nil {
		err = fits(c.Base, template)
	}
	if err != nil {
		k.problem("base", plugins.BadInput, err.Error(), "")
		_ = folder.Close()
		return nil
	}
	return folder
}

// downloadHint says where a missing model comes from.
func downloadHint(name, into string) string {
	if name == "." || name == string(filepath.Separator) {
		name = "Phi-4-mini-instruct"
	}
	return fmt.Sprintf("download it, for example: hf download microsoft/%s --local-dir %s", name, into)
}

// start reads the adapter to go on from, when it is there.
func (k *checker) start(c Config, m *phi3.Config) phi3.AdapterOptions {
	if slices.Contains(k.pending, "lora.from") {
		return c.adapter(nil)
	}
	from, err := c.start()
	if err != nil {
		k.problem("lora.from", plugins.BadInput, err.Error(), "name a folder with adapter_config.json and adapter_model.safetensors, as PEFT or this stage writes it")
		return c.adapter(nil)
	}
	a, err := m.ResolveAdapter(c.adapter(from))
	if err != nil {
		k.bad("lora.from", err)
	}
	return a
}

func (k *checker) selection(c Config, a phi3.AdapterOptions, m *phi3.Config) {
	if len(a.Targets) > 0 {
		if _, err := m.SelectTargets(a.Targets); err != nil {
			k.bad("lora.targets", err)
		}
	}
	gated, err := m.SelectLayers(c.gated())
	if err != nil {
		k.bad("gate.layers", err)
	} else if len(gated) > 0 && m.Hidden%so8t.Block != 0 {
		k.problem("gate.enabled", plugins.BadInput, fmt.Sprintf("the model's hidden size %d is no multiple of %d", m.Hidden, so8t.Block), "set gate.enabled: false")
	}
	if err := m.CheckLength(c.Length); err != nil {
		k.problem("length", plugins.BadInput, err.Error(), "")
	}
}
