package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Options say what a workflow is read with.
type Options struct {
	// Root is the project directory: the file of Parse, `uses: ./…` and `publish` are relative to it.
	Root string
	// Params are given from outside, as text; they are read by the parameter's type.
	Params map[string]string
	// Describe says what a plugin accepts and makes. It is asked once for each `uses`. An error that
	// is ErrUnknownPlugin is the problem unknown-plugin, any other bad-plugin. Nil, and a nil
	// PluginSpec, leave `with`, outputs and metrics unchecked.
	Describe func(uses string) (*PluginSpec, error)
	// Plugins are the names that `uses` may hold beside paths, for "did you mean".
	Plugins []string
}

// ErrUnknownPlugin is returned by Options.Describe for a plugin that does not exist.
var ErrUnknownPlugin = errors.New("unknown plugin")

// PluginSpec is what the language needs to know of a plugin.
type PluginSpec struct {
	With    json.RawMessage // JSON Schema of `with`
	Outputs []OutputSpec
	Metrics []string
	// ReportsMetrics is false for a plugin that does not list its metrics: gates on it are unchecked.
	ReportsMetrics bool
}

// OutputSpec is an output that a plugin describes.
type OutputSpec struct {
	Name      string
	MediaType string
	Optional  bool
	Volatile  bool // holds times, rates or paths: an input of nothing
}

// Workflow is a file (with what it includes) without problems.
type Workflow struct {
	Name    string // the key name, else the file's name without extension
	File    string // relative to the project directory, with /
	Params  []Param
	Secrets []string // names of environment variables, in file order
	// Concurrency is how many instances may run at a time; 0 when not said.
	Concurrency int
	Slots       []Slot // in file order
	Hooks       []Hook
	Stages      []*Stage // in file order
	Edges       []Edge
	Levels      [][]string // names of stages by their longest path from a root
	Nodes       []*Node    // by stage in file order
}

// Param is a parameter with its value.
type Param struct {
	Name     string    `json:"name"`
	Type     ParamType `json:"type"`
	Value    any       `json:"value"` // int64, float64, bool or string
	Default  any       `json:"default,omitempty"`
	Required bool      `json:"required"`
	Given    bool      `json:"given"` // from Options.Params
	Help     string    `json:"help,omitempty"`
	Pos      Pos       `json:"-"`
}

// Stage is an entry of `stages`.
type Stage struct {
	Name string
	Pos  Pos // of its key
	Uses string
	// UsesPos is the place of the value of `uses`.
	UsesPos Pos
	Needs   []Name
	When    string // success, failure, always or an expression
	Publish []Publication
	Frozen  bool
	Spec    *PluginSpec // nil when unknown

	index  int
	refs   []OutputRef // outputs that its instances read
	asks   []Name      // stages that its `when` names
	when   *Condition
	gates  []*Condition
	matrix matrix
	body   stageBody
}

// Name is a name where it stands.
type Name struct {
	Name string
	Pos  Pos
}

// Publication puts an output at a path of the project directory.
type Publication struct {
	Output string
	Path   string
	Pos    Pos
}

// Reasons of an edge.
const (
	WhyReference = "reference"
	WhyNeeds     = "needs"
	WhyWhen      = "when"
)

// Edge says that To depends on From.
type Edge struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Why  []string `json:"why"` // any of reference, needs, when
	pos  Pos      // where To names From first
}

// Values of Node.When.
const (
	WhenSuccess = "success"
	WhenFailure = "failure"
	WhenAlways  = "always"
)

// Node is an instance of a stage: what is planned and run. A stage without a matrix has one, whose
// ID is the stage's name.
type Node struct {
	ID        string
	Stage     string
	Matrix    Instance // empty without a matrix
	Level     int
	Uses      string
	With      *Value // a Map
	Env       []EnvVar
	Timeout   time.Duration // 0: none
	Retry     Retry
	Resources Resources
	Priority  int // -100 to 100, the higher starts first
	// Concurrency is how many instances of the stage may run at a time; 0 when not said.
	Concurrency int
	Secrets     []string // declared secrets that the process receives
	When        string
	// Condition is the expression in When, or nil for one of the three words.
	Condition       *Condition
	Gates           []*Condition // what its metrics must be for it to have succeeded
	ContinueOnError bool
	Needs           []string // ids of the nodes it depends on, by any reason
	Publish         []Publication
	Frozen          bool
	Pos             Pos
	Spec            *PluginSpec

	hasPriority bool
}

// Hook is what is done when a run has ended: exactly one of Run and Webhook is set.
type Hook struct {
	Event   string        // success, failure or always
	Run     string        // a command
	Webhook string        // an address
	Timeout time.Duration // 0: none
	Pos     Pos
}

// Slot is a number of something that stages share.
type Slot struct {
	Name  string
	Count int
}

// Instance is the place of a node in its stage's matrix: a value for each axis, in order.
type Instance []MatrixValue

// MatrixValue is the value that an axis has for an instance.
type MatrixValue struct {
	Axis  string
	Value *Value
	text  string // how the value looks in the instance's name
}

// EnvVar is a variable of a stage's process: a Text, or a Concat or Secret when secrets are in it.
type EnvVar struct {
	Name  string
	Value *Value
}

// Retry says how often and when a failed attempt is tried again. Nil fields were not written.
type Retry struct {
	Max        *int
	Backoff    *time.Duration
	Factor     *float64
	MaxBackoff *time.Duration
	Jitter     *bool
	On         []string // nil: all but bad_input, cancelled and gate
}

// Resources are what an instance holds while it runs. Nil fields were not written.
type Resources struct {
	GPU    *int
	CPU    *int
	Memory *int64 // bytes
	Disk   *int64 // bytes
	Slots  []Slot // held while it runs
}

// Load reads the workflow in the file at path. The error is Problems when the file was read.
func Load(path string, opts Options) (*Workflow, error) {
	src, err := ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading workflow: %w", err)
	}
	if opts.Root == "" {
		opts.Root = filepath.Dir(path)
	}
	return Parse(relative(opts.Root, path), src, opts)
}

// ReadFile reads a file for Parse, but no more of it than shows that it is too large.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// relative is path as seen from root, with /.
func relative(root, file string) string {
	absRoot, err1 := filepath.Abs(root)
	absFile, err2 := filepath.Abs(file)
	if err1 == nil && err2 == nil {
		if rel, err := filepath.Rel(absRoot, absFile); err == nil {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.ToSlash(file)
}

// Parse reads a workflow from src. file is its path relative to opts.Root.
func Parse(file string, src []byte, opts Options) (*Workflow, error) {
	if len(src) > largeFile {
		defer tightenCollector()()
	}
	d := newDocument(path.Clean(filepath.ToSlash(file)), opts)
	d.read(src)
	if err := d.report.err(); err != nil {
		return nil, err
	}
	return d.workflow, nil
}
