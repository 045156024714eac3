package cli

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema [STAGE]",
		Short:   "JSON Schema of the workflow language, or of one stage's `with`",
		Example: "  so8t schema > workflows/schema.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			schemas := map[string]json.RawMessage{}
			for _, b := range a.Stages {
				schemas[b.Name] = b.Stage.Describe().With
			}
			if len(args) == 0 {
				schema, err := workflow.JSONSchema(schemas)
				if err != nil {
					return err
				}
				_, err = a.Out.Write(append(bytes.TrimSpace(schema), '\n'))
				return err
			}
			schema, ok := schemas[args[0]]
			if !ok {
				return fmt.Errorf("%w: no built-in stage is called %q", engine.ErrNoStage, args[0])
			}
			return a.printJSON(schema)
		},
	}
}
