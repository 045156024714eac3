package ollama

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/stages/internal/chat"
)

// recipe is the Modelfile from which a user can make the same model by hand. The file that it names
// lies in another stage's output, so it names it as it is called there.
func (o offer) recipe(name string) string {
	file := filepath.Base(o.path)
	var b strings.Builder
	fmt.Fprintf(&b, "# Makes the model that so8t has served. Put it beside %s and say:\n#   ollama create %s -f Modelfile\n# sha256 of %s: %s\n", file, name, file, o.digest)
	fmt.Fprintf(&b, "FROM ./%s\n\nTEMPLATE \"\"\"%s\"\"\"\n\n", file, chat.Ollama)
	for _, line := range o.params.lines() {
		b.WriteString("PARAMETER " + line + "\n")
	}
	if o.license != "" {
		fmt.Fprintf(&b, "\nLICENSE \"\"\"%s\"\"\"\n", o.license)
	}
	return b.String()
}

func (o offer) writeRecipe(dir, name string) error {
	if err := os.WriteFile(filepath.Join(dir, "Modelfile"), []byte(o.recipe(name)), 0o644); err != nil {
		return fmt.Errorf("writing the Modelfile: %w", err)
	}
	return nil
}
