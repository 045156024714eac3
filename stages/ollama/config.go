package ollama

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// Config is the stage's `with`.
type Config struct {
	GGUF     string `json:"gguf" format:"path" media:"application/x-gguf" required:"true" help:"the model to serve"`
	Name     string `json:"name" default:"so8t" help:"the model's name on the server; it gets it when everything required of it holds"`
	Keep     bool   `json:"keep" default:"true" help:"false: the proven model is removed from the server again, as after a trial"`
	License  string `json:"license" default:"" help:"text of the model's licence, for the server to show"`
	Required bool   `json:"required" default:"true" help:"false: without a server the stage is skipped instead of failing"`
	NumCtx   int    `json:"num_ctx" default:"0" min:"0" help:"context in tokens, never beyond the original one, from which on servers change the rotary factors of every token; 0: that"`
	Host     string `json:"host" default:"" bytes:"same" help:"address of the server; default: OLLAMA_HOST, else one is started from the program ollama"`
	Models   string `json:"models" default:"" bytes:"same" help:"where a started server keeps its models, and from where it drops, as it always does, what no model of it uses; default: deleted afterwards"`
	Patience int    `json:"patience" default:"600" min:"1" bytes:"same" help:"seconds that a server may be silent, as when it loads the model; then the stage fails"`

	Threads int `json:"threads" default:"0" min:"0" help:"threads that the server computes with; 0: as it chooses. More than one wait for each other at every layer: on a busy machine a small model takes a hundred times as long with two"`

	Repeats    int     `json:"repeats" default:"2" min:"1" help:"how often each of the six tests is asked, at temperature 0; it passes when it does each time"`
	Triples    bool    `json:"triples_required" default:"true" help:"the stage fails when one of the three judgements is wrong"`
	General    bool    `json:"general_required" default:"false" help:"and when one of the three general tests is: arithmetic, a definition, a long text"`
	CrossCheck bool    `json:"cross_check" default:"true" help:"compare the server's scores of the judgement with our own inference on the CPU, which loads the file a second time"`
	Tolerance  float64 `json:"tolerance" default:"0" min:"0" help:"largest difference of two log-probabilities in the cross-check, nats; 0: 0.02 for floats, 0.25 for Q8_0, 0.5 below, four times that from 16 layers on"`
	Scale      string  `json:"scale" default:"full" enum:"full,tiny" help:"tiny: answers are short and no test is required"`
}

// patience is how long the server may be silent.
func (c Config) patience() time.Duration { return time.Duration(c.Patience) * time.Second }

// host returns the configured server's address, "" when one has to be started.
func (c Config) host() string {
	if c.Host != "" {
		return c.Host
	}
	return os.Getenv("OLLAMA_HOST")
}

// place tells apart where the model is to stay: on a server that is there, in a folder of models, or
// nowhere.
func (c Config) place() string {
	if host := c.host(); host != "" {
		return host
	}
	return c.Models
}

// models is where a server that this stage starts keeps its models.
func (c Config) models(scratch string) string {
	if c.Models != "" {
		return c.Models
	}
	return filepath.Join(scratch, "models")
}

// check is what can be told of the parameters without a server.
func (c Config) check() *plugins.Problem {
	if err := checkName(c.Name); err != nil {
		return &plugins.Problem{Field: "name", Code: plugins.BadInput, Message: err.Error()}
	}
	return nil
}

// context is the number of tokens to serve with: the original context at most.
func (c Config) context(m *modelfile.Model) (int, error) {
	longest := m.Config.OriginalMaxPositions
	if c.NumCtx > longest {
		return 0, plugins.Errorf(plugins.BadInput, "num_ctx %d is beyond the model's original context: from %d tokens on servers use the long rotary factors for every token, which changes every answer; give at most %d", c.NumCtx, longest+1, longest)
	}
	if c.NumCtx == 0 {
		return longest, nil
	}
	return c.NumCtx, nil
}

// checkFile looks into the file: what a server would take and not be able to run is refused here.
func (c Config) checkFile() error {
	f, err := ggufio.Open(c.GGUF)
	if err != nil {
		return err
	}
	defer f.Close()
	if name, err := ggufio.Lookup[string](f, "general.name"); err == nil {
		if err := modelfile.CheckName(name); err != nil {
			return plugins.Errorf(plugins.BadInput, "general.name of the file: %w", err)
		}
	}
	return nil
}

// look is the part of Check about the file.
func (c Config) look(report *plugins.CheckReport) error {
	problem := func(field string, err error) {
		report.Problems = append(report.Problems, plugins.InputProblem(field, err))
	}
	if err := c.checkFile(); err != nil {
		problem("gguf", err)
		return nil
	}
	m, err := modelfile.Open(c.GGUF)
	if err != nil {
		problem("gguf", err)
		return nil
	}
	defer m.Close()
	if _, err := c.context(m); err != nil {
		problem("num_ctx", err)
	}
	info, err := os.Stat(c.GGUF)
	if err != nil {
		return fmt.Errorf("looking at the model: %w", err)
	}
	if c.host() == "" && c.Models == "" {
		report.Needs.Disk = info.Size() // the copy of the server that is started
	}
	if c.CrossCheck {
		report.Needs.Memory, err = scoring.Memory(c.GGUF)
	}
	return err
}
