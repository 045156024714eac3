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
		Example: "  so8t schema > workflows/schema.json\n  so8t schema train | jq .properties.lora",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				schema, err := a.languageSchema()
				if err != nil {
					return err
				}
				_, err = a.Out.Write(schema)
				return err
			}
			schema, ok := a.stageSchemas()[args[0]]
			if !ok {
				return fmt.Errorf("%w %q: 'so8t plugins list' names those that are built in", engine.ErrNoStage, args[0])
			}
			return a.printJSON(schema)
		},
	}
}

// stageSchemas are the schemas of `with` by built-in stage.
func (a *app) stageSchemas() map[string]json.RawMessage {
	schemas := map[string]json.RawMessage{}
	for _, b := range a.Stages {
		schemas[b.Name] = b.Stage.Describe().With
	}
	return schemas
}

// languageSchema is the schema of a workflow file that uses built-in stages.
func (a *app) languageSchema() ([]byte, error) {
	schema, err := workflow.JSONSchema(a.stageSchemas())
	return append(bytes.TrimSpace(schema), '\n'), err
}
