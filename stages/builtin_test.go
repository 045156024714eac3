package stages

import "testing"

// A stage is found by the name in the table, so that must be the one it describes itself by.
func TestBuiltin_NamesAreTheStagesOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range Builtin() {
		d := b.Stage.Describe()
		if d.Name != b.Name || seen[b.Name] {
			t.Errorf("stage %q stands in the table as %q", d.Name, b.Name)
		}
		seen[b.Name] = true
		if d.Revision < 1 || d.Help == "" || len(d.With) == 0 {
			t.Errorf("stage %q describes itself without revision, help or schema", b.Name)
		}
	}
}
