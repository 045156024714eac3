package cli

import (
	"github.com/spf13/cobra"
)

// modelCommand groups the tools on model files. They come with the stages that share their
// code; the command line knows only their names.
func (a *app) modelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "tools on model files, between stages",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, tool := range a.Tools {
		c.AddCommand(&cobra.Command{
			Use:                tool.Name + " " + tool.Usage,
			Short:              tool.Help,
			DisableFlagParsing: true, // the tool reads its own flags
			RunE: func(c *cobra.Command, args []string) error {
				return tool.Run(c.Context(), args, a.Streams)
			},
		})
	}
	return c
}
